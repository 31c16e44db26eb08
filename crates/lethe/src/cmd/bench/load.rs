//! The load itself. In a closed loop every connection sends, waits for the answer, and sends again;
//! in an open loop the next free connection sends when the schedule says so. One thread does all of
//! it, until the time or the requests are over.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::http::{Connection, Target};
use super::latency::Latencies;
use super::schedule::{Schedule, Timer};
use super::work::Work;
use crate::local::monotonic;

/// A connection with so many errors is given up.
const ERRORS_MAX: u64 = 10;
/// How long after its time a closed loop may still wait for answers.
const GRACE: Duration = Duration::from_secs(30);
/// How long after its time an open loop still sends what is late already. What is left then was
/// never sent, and counts with the time that it had waited.
const DRAIN: Duration = Duration::from_secs(5);

/// What decides when the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The answer to the one before it on its connection.
    Closed,
    /// The clock: so many a second over all connections.
    Open(u32),
}

/// How much load, and for how long at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) time: Duration,
    pub(super) pace: Pace,
}

impl Load {
    /// A closed loop.
    pub(super) fn closed(connections: usize, time: Duration) -> Self {
        Self { connections, time, pace: Pace::Closed }
    }
}

/// What a run measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// Time from the first request to the last answer.
    pub(super) elapsed: Duration,
    /// Latency of each request that succeeded; in an open loop from when it was to be sent.
    pub(super) latencies: Latencies,
    /// Requests that succeeded: one that stands for many counts as many.
    pub(super) done: u64,
    /// Requests of an open loop that could not be sent in time, nor for some time after.
    pub(super) unsent: u64,
    /// Requests that failed.
    pub(super) errors: u64,
    /// The first of them, in words.
    pub(super) first_error: Option<String>,
    /// Ids of the keys that were made.
    pub(super) keys: VecDeque<String>,
}

impl Run {
    /// Requests per second.
    pub(super) fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { count(self.done) / seconds } else { 0.0 }
    }

    /// Another run of the same load.
    pub(super) fn add(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.latencies.add(&other.latencies);
        self.done += other.done;
        self.unsent += other.unsent;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.keys.extend(other.keys);
    }
}

/// A count as a number to divide; all counts of a run are small enough to stay exact.
pub(super) fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Loads `target` with `work`.
///
/// # Errors
/// The reason in words, if the connections cannot be made or nothing is answered any more.
pub(super) async fn run(target: &Target, work: &Arc<Work>, load: Load) -> Result<Run, String> {
    let mut open = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        open.push((Connection::open(target).await?, Timer::new()?));
    }
    let start = monotonic();
    let pacer = Arc::new(match load.pace {
        Pace::Closed => Pacer::Closed { end: start + load.time },
        Pace::Open(per_second) => Pacer::Open {
            schedule: Schedule::new(start, load.time, per_second),
            end: start + load.time + DRAIN,
        },
    });
    let total = Arc::new(Mutex::new(Run::default()));
    let mut workers = JoinSet::new();
    for (connection, timer) in open {
        let (target, work) = (target.clone(), Arc::clone(work));
        let (pacer, total) = (Arc::clone(&pacer), Arc::clone(&total));
        workers.spawn(Driver { target, connection, timer, work, pacer, total }.drive());
    }
    let all = async {
        while let Some(done) = workers.join_next().await {
            done.map_err(|error| format!("a connection's task failed: {error}"))??;
        }
        Ok::<(), String>(())
    };
    match tokio::time::timeout(load.time + GRACE, all).await {
        Ok(done) => done?,
        Err(_) => return Err(format!("answers were missing {GRACE:?} after the end")),
    }
    let mut total = std::mem::take(&mut *lock(&total));
    total.elapsed = monotonic().saturating_sub(start);
    Ok(total)
}

fn lock(total: &Mutex<Run>) -> std::sync::MutexGuard<'_, Run> {
    total.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
enum Pacer {
    Closed { end: Duration },
    Open { schedule: Schedule, end: Duration },
}

/// When a request is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    At(Duration),
    /// It was due at this time, but nothing is sent any more.
    TooLate(Duration),
    Over,
}

impl Pacer {
    fn turn(&self, now: Duration) -> Turn {
        match self {
            Self::Closed { end } if now < *end => Turn::At(now),
            Self::Closed { .. } => Turn::Over,
            Self::Open { schedule, end } => match schedule.next() {
                Some(due) if now < *end => Turn::At(due),
                Some(due) => Turn::TooLate(due),
                None => Turn::Over,
            },
        }
    }
}

/// One connection at work. All of them write to one total: they share a thread.
struct Driver {
    target: Target,
    connection: Connection,
    timer: Timer,
    work: Arc<Work>,
    pacer: Arc<Pacer>,
    total: Arc<Mutex<Run>>,
}

impl Driver {
    async fn drive(mut self) -> Result<(), String> {
        let mut request = Vec::new();
        let mut errors = 0;
        let mut now = monotonic();
        loop {
            let due = match self.pacer.turn(now) {
                Turn::At(due) => due,
                Turn::TooLate(due) => {
                    give_up(now.saturating_sub(due), &self.total);
                    continue;
                }
                Turn::Over => return Ok(()),
            };
            self.timer.wait_until(due).await?;
            if !self.work.next(&mut request) {
                return Ok(());
            }
            let answer = self.connection.exchange(&request).await;
            now = monotonic();
            let latency = now.saturating_sub(due);
            let Some(is_broken) = take(answer, &self.work, latency, &self.total) else {
                continue;
            };
            errors += 1;
            if errors >= ERRORS_MAX {
                return Ok(());
            }
            if is_broken {
                match Connection::open(&self.target).await {
                    Ok(another) => self.connection = another,
                    Err(_) => return Ok(()),
                }
            }
        }
    }
}

/// Counts a request that was never sent, with the time that it had waited.
fn give_up(waited: Duration, total: &Mutex<Run>) {
    let mut total = lock(total);
    total.unsent += 1;
    total.latencies.record(waited);
}

/// Counts an answer and collects from it; if it is no success, whether the connection is broken.
fn take(
    answer: Result<(u16, &[u8]), String>,
    work: &Work,
    latency: Duration,
    total: &Mutex<Run>,
) -> Option<bool> {
    let mut total = lock(total);
    let (why, is_broken) = match answer {
        Ok((status, body)) if status == work.status => {
            total.done += 1;
            total.latencies.record(latency);
            if let Some(find) = work.collects {
                total.keys.extend(find(body));
            }
            return None;
        }
        Ok((status, body)) => {
            let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            (format!("status {status} instead of {}: {body}", work.status), false)
        }
        Err(why) => (why, true),
    };
    total.errors += 1;
    total.first_error.get_or_insert(why);
    Some(is_broken)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn rates_are_requests_by_time() {
        let mut run = Run { done: 3, elapsed: Duration::from_secs(2), ..Run::default() };
        assert!((run.rate() - 1.5).abs() < 1e-9);
        assert!(Run::default().rate().abs() < 1e-9);
        run.add(Run { done: 1, elapsed: Duration::from_secs(6), unsent: 2, ..Run::default() });
        assert!((run.rate() - 0.5).abs() < 1e-9);
        assert_eq!(run.unsent, 2);
    }

    #[test]
    fn an_open_loop_ends_late_and_a_closed_one_in_time() {
        let at = Duration::from_millis;
        let closed = Pacer::Closed { end: at(10) };
        assert_eq!(closed.turn(at(9)), Turn::At(at(9)));
        assert_eq!(closed.turn(at(10)), Turn::Over);
        let schedule = Schedule::new(at(0), at(3), 1_000);
        let open = Pacer::Open { schedule, end: at(8) };
        assert_eq!(open.turn(at(0)), Turn::At(at(0)));
        assert_eq!(open.turn(at(7)), Turn::At(at(1)), "late, but sent");
        assert_eq!(open.turn(at(8)), Turn::TooLate(at(2)));
        assert_eq!(open.turn(at(8)), Turn::Over);
    }

    /// A server that answers every read with `answer`, or closes if that is empty.
    async fn serve(answer: &'static str) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 1_024];
                    while let Ok(1..) = stream.read(&mut buffer).await {
                        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Target::of(&format!("http://{address}")).unwrap()
    }

    const MADE: &str = "HTTP/1.1 201 Created\r\nContent-Length: 41\r\n\r\n\
                        {\"id\":\"0123456789abcdef0123456789abcdef\"}";

    fn short() -> Duration {
        Duration::from_millis(50)
    }

    #[tokio::test]
    async fn answers_are_counted_and_new_keys_collected() {
        let target = serve(MADE).await;
        let request = target.request("POST", "/", None, Some("{}"));
        let work = Arc::new(Work::making_keys(request));
        let run = run(&target, &work, Load::closed(3, short())).await.unwrap();
        assert_eq!((run.errors, run.first_error), (0, None));
        assert!(run.done > 0);
        assert_eq!((run.keys.len().try_into(), run.latencies.count()), (Ok(run.done), run.done));
    }

    #[tokio::test]
    async fn a_run_ends_with_its_keys() {
        let target = serve(MADE).await;
        let request = target.request("DELETE", "/{}", None, None);
        let keys = (0..5).map(|number| number.to_string()).collect();
        let work = Arc::new(Work::per_key(&request, b"{}", keys, 201));
        let load = Load::closed(2, Duration::from_secs(20));
        let run = run(&target, &work, load).await.unwrap();
        assert_eq!((run.done, run.errors), (5, 0));
    }

    #[tokio::test]
    async fn an_open_loop_sends_all_that_its_schedule_has() {
        let target = serve(MADE).await;
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 201));
        let load = Load { connections: 2, time: short(), pace: Pace::Open(400) };
        let run = run(&target, &work, load).await.unwrap();
        assert_eq!((run.done, run.unsent, run.errors), (20, 0, 0));
        assert!(run.elapsed >= Duration::from_micros(47_500));
    }

    /// The control: the server stops for a while after its first answer, and everything that was
    /// due meanwhile counts as late, not only the one request that it held up.
    #[tokio::test]
    async fn who_waits_behind_a_slow_answer_is_counted() {
        const PAUSE: Duration = Duration::from_millis(60);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::of(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1_024];
            let mut is_first = true;
            while let Ok(1..) = stream.read(&mut buffer).await {
                if std::mem::take(&mut is_first) {
                    let mut timer = Timer::new().unwrap();
                    timer.wait_until(monotonic() + PAUSE).await.unwrap();
                }
                stream.write_all(MADE.as_bytes()).await.unwrap();
            }
        });
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 201));
        let load = Load { connections: 1, time: short(), pace: Pace::Open(200) };
        let run = run(&target, &work, load).await.unwrap();
        assert_eq!(run.done, 10);
        // The one in the middle was due after 25 ms and could go after 60.
        assert!(run.latencies.percentile(500) >= Duration::from_millis(30), "{run:?}");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_counted_and_ends() {
        #[track_caller]
        fn check(run: &Run, expected: &str) {
            assert_eq!((run.done, run.errors), (0, 2 * ERRORS_MAX));
            let first = run.first_error.as_deref().unwrap();
            assert!(first.contains(expected), "{first}");
        }
        let load = Load::closed(2, Duration::from_secs(20));
        let target = serve("HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nwhy").await;
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 200));
        check(&run(&target, &work, load).await.unwrap(), "status 503 instead of 200: why");
        let target = serve("").await;
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 200));
        check(&run(&target, &work, load).await.unwrap(), "closed the connection");
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::of(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 200));
        assert!(run(&target, &work, Load::closed(1, short())).await.is_err());
    }
}
