//! The load itself: every connection sends, waits for the answer, and sends again, until the time
//! or the requests are over. One thread does all of it.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::http::{Connection, Target};
use super::work::Work;
use crate::local::monotonic;

/// Most requests of one run: bounds the memory of the latencies.
const REQUESTS_MAX: usize = 5_000_000;
/// A connection with so many errors is given up.
const ERRORS_MAX: u64 = 10;
/// How long after its time a run may still wait for answers.
const GRACE: Duration = Duration::from_secs(30);

/// What a run measured.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Time from the first request to the last answer.
    pub(super) elapsed: Duration,
    /// Latency of each request that succeeded, ascending.
    pub(super) latencies: Vec<Duration>,
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
        if seconds > 0.0 { count(self.latencies.len()) / seconds } else { 0.0 }
    }

    /// The latency that so many of 1,000 requests do not exceed; zero without requests.
    pub(super) fn percentile(&self, permille: usize) -> Duration {
        let rank = (self.latencies.len() * permille).div_ceil(1_000);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.keys.extend(other.keys);
    }
}

/// A count as a number to divide; all counts of a run are small enough to stay exact.
pub(super) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Loads `target` with `work` over so many connections, for `time` at the most.
///
/// # Errors
/// The reason in words, if the connections cannot be made or nothing is answered any more.
pub(super) async fn run(
    target: &Target,
    work: &Arc<Work>,
    connections: usize,
    time: Duration,
) -> Result<Run, String> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(target).await?);
    }
    let mut workers = JoinSet::new();
    let requests_max = REQUESTS_MAX / connections.max(1);
    let start = monotonic();
    for connection in open {
        let (target, work) = (target.clone(), Arc::clone(work));
        workers.spawn(drive(target, connection, work, start + time, requests_max));
    }
    let mut total = Run::default();
    let all = async {
        while let Some(done) = workers.join_next().await {
            total.add(done.map_err(|error| format!("a connection's task failed: {error}"))?);
        }
        Ok::<(), String>(())
    };
    match tokio::time::timeout(time + GRACE, all).await {
        Ok(done) => done?,
        Err(_) => return Err(format!("answers were missing {GRACE:?} after the end")),
    }
    total.elapsed = monotonic().saturating_sub(start);
    total.latencies.sort_unstable();
    Ok(total)
}

async fn drive(
    target: Target,
    mut connection: Connection,
    work: Arc<Work>,
    end: Duration,
    requests_max: usize,
) -> Run {
    let mut run = Run::default();
    let mut request = Vec::new();
    let mut now = monotonic();
    while now < end && run.latencies.len() < requests_max && work.next(&mut request) {
        let sent = now;
        let why = match connection.exchange(&request).await {
            Ok((status, body)) if status == work.status => {
                if let Some(find) = work.collects {
                    run.keys.extend(find(body));
                }
                None
            }
            Ok((status, body)) => {
                let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
                Some((format!("status {status} instead of {}: {body}", work.status), false))
            }
            Err(why) => Some((why, true)),
        };
        now = monotonic();
        let Some((why, is_broken)) = why else {
            run.latencies.push(now.saturating_sub(sent));
            continue;
        };
        run.errors += 1;
        run.first_error.get_or_insert(why);
        if run.errors >= ERRORS_MAX {
            break;
        }
        if is_broken {
            match Connection::open(&target).await {
                Ok(another) => connection = another,
                Err(_) => break,
            }
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn milliseconds(values: &[u64]) -> Run {
        let latencies = values.iter().copied().map(Duration::from_millis).collect();
        Run { latencies, elapsed: Duration::from_secs(2), ..Run::default() }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        #[track_caller]
        fn check(values: &[u64], permille: usize, expected: u64) {
            let run = milliseconds(values);
            assert_eq!(run.percentile(permille), Duration::from_millis(expected), "{values:?}");
        }
        check(&[], 500, 0);
        check(&[7], 500, 7);
        check(&[7], 990, 7);
        check(&[1, 2], 500, 1);
        check(&[1, 2, 3], 500, 2);
        check(&[1, 2, 3, 4], 500, 2);
        let hundred: Vec<u64> = (1..=100).collect();
        check(&hundred, 500, 50);
        check(&hundred, 990, 99);
        check(&hundred, 1_000, 100);
        check(&hundred, 0, 1);
    }

    #[test]
    fn rates_are_requests_by_time() {
        assert!((milliseconds(&[1, 2, 3]).rate() - 1.5).abs() < 1e-9);
        assert!(Run::default().rate().abs() < 1e-9);
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
        let run = run(&target, &Arc::new(Work::making_keys(request)), 3, short()).await.unwrap();
        assert_eq!((run.errors, run.first_error), (0, None));
        assert!(!run.latencies.is_empty());
        assert_eq!(run.keys.len(), run.latencies.len());
        assert!(run.latencies.is_sorted());
    }

    #[tokio::test]
    async fn a_run_ends_with_its_keys() {
        let target = serve(MADE).await;
        let request = target.request("DELETE", "/{}", None, None);
        let keys = (0..5).map(|number| number.to_string()).collect();
        let work = Arc::new(Work::per_key(&request, b"{}", keys, 201));
        let run = run(&target, &work, 2, Duration::from_secs(20)).await.unwrap();
        assert_eq!((run.latencies.len(), run.errors), (5, 0));
    }

    #[tokio::test]
    async fn what_goes_wrong_is_counted_and_ends() {
        #[track_caller]
        fn check(run: &Run, expected: &str) {
            assert_eq!((run.latencies.len(), run.errors), (0, 2 * ERRORS_MAX));
            let first = run.first_error.as_deref().unwrap();
            assert!(first.contains(expected), "{first}");
        }
        let time = Duration::from_secs(20);
        let target = serve("HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nwhy").await;
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 200));
        check(&run(&target, &work, 2, time).await.unwrap(), "status 503 instead of 200: why");
        let target = serve("").await;
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 200));
        check(&run(&target, &work, 2, time).await.unwrap(), "closed the connection");
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::of(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        let work = Arc::new(Work::same(target.request("GET", "/", None, None), 200));
        assert!(run(&target, &work, 1, short()).await.is_err());
    }
}
