//! The audit trail on a disk that fills up, fails, stalls and comes back.

use super::audit_file::{START, event, holds, options, requests};
use super::{SetClock, TemporaryDirectory};
use crate::audit_file::{AuditDirectory, AuditFile, AuditOptions, LogFile, RealDirectory};
use crate::clock::SystemClock;
use core::time::Duration;
use lethe_engine::audit::{AuditSink, AuditUnavailable};
use lethe_types::Clock;
use parking_lot::{Condvar, Mutex};
use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;

/// What is wrong with the disk now.
#[derive(Default)]
struct Faults {
    /// Bytes until the disk is full; `None` if it never is.
    bytes_free: Option<usize>,
    is_sync_failing: bool,
    /// A sync that fails loses what was appended, as a kernel does that drops dirty pages.
    is_sync_losing: bool,
    is_create_failing: bool,
    /// It fails after it was done, as when the sync of the directory fails.
    is_create_failing_late: bool,
    is_head_failing: bool,
    is_put_aside_failing: bool,
    is_put_aside_failing_late: bool,
    is_panicking: bool,
    is_stalled: bool,
    /// How often something was appended or failed to be.
    appends: u32,
}

#[derive(Default)]
struct Disk {
    faults: Mutex<Faults>,
    changed: Condvar,
}

impl Disk {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock());
        self.changed.notify_all();
    }
}

struct FaultyDirectory {
    real: RealDirectory,
    disk: Arc<Disk>,
}

struct FaultyFile {
    real: Box<dyn LogFile>,
    disk: Arc<Disk>,
    synced: u64,
}

impl FaultyDirectory {
    fn wrap(&self, real: Box<dyn LogFile>) -> io::Result<Box<dyn LogFile>> {
        let synced = real.length()?;
        Ok(Box::new(FaultyFile { real, disk: Arc::clone(&self.disk), synced }))
    }
}

impl AuditDirectory for FaultyDirectory {
    fn open_current(&mut self) -> io::Result<Option<Box<dyn LogFile>>> {
        let real = self.real.open_current()?;
        real.map(|real| self.wrap(real)).transpose()
    }

    fn create_current(&mut self, header: &[u8]) -> io::Result<Box<dyn LogFile>> {
        if self.disk.faults.lock().is_create_failing {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let real = self.real.create_current(header)?;
        if self.disk.faults.lock().is_create_failing_late {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.wrap(real)
    }

    fn is_current(&self) -> bool {
        self.real.is_current()
    }

    fn put_aside(&mut self, number: u64) -> io::Result<()> {
        if self.disk.faults.lock().is_put_aside_failing {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.real.put_aside(number)?;
        if self.disk.faults.lock().is_put_aside_failing_late {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }

    fn put_apart(&mut self) -> io::Result<()> {
        self.real.put_apart()
    }

    fn last_aside(&self) -> io::Result<Option<u64>> {
        self.real.last_aside()
    }

    fn open_aside(&self, number: u64) -> io::Result<Option<Box<dyn LogFile>>> {
        self.real.open_aside(number)
    }

    fn remove_before(&self, number: u64) -> io::Result<()> {
        self.real.remove_before(number)
    }

    fn read_head(&self) -> io::Result<Option<Vec<u8>>> {
        self.real.read_head()
    }

    fn write_head(&mut self, content: &[u8]) -> io::Result<()> {
        if self.disk.faults.lock().is_head_failing {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.real.write_head(content)
    }

    fn put_head_apart(&mut self) -> io::Result<()> {
        self.real.put_head_apart()
    }
}

impl LogFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.real.length()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at(bytes, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut faults = self.disk.faults.lock();
        assert!(!faults.is_panicking, "a fault of the test");
        while faults.is_stalled {
            self.disk.changed.wait(&mut faults);
        }
        faults.appends += 1;
        let Some(free) = &mut faults.bytes_free else { return self.real.append(bytes) };
        let fits = bytes.len().min(*free);
        *free -= fits;
        self.real.append(&bytes[..fits])?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let faults = self.disk.faults.lock();
        if faults.is_sync_failing {
            if faults.is_sync_losing {
                self.real.truncate(self.synced)?;
            }
            return Err(io::Error::other("input/output error"));
        }
        self.synced = self.real.length()?;
        self.real.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.real.truncate(length)
    }
}

struct Trail {
    directory: TemporaryDirectory,
    disk: Arc<Disk>,
    audit: AuditFile,
}

impl Trail {
    fn new(options: AuditOptions) -> Self {
        let directory = TemporaryDirectory::new();
        let disk = Arc::new(Disk::default());
        let clock = Arc::new(SetClock::at(START));
        let real = RealDirectory::new(directory.path().to_owned(), clock.clone());
        let faulty = FaultyDirectory { real, disk: Arc::clone(&disk) };
        let audit = AuditFile::start(Box::new(faulty), clock, options).unwrap();
        Self { directory, disk, audit }
    }

    #[track_caller]
    fn record(&self, request: &str) {
        self.audit.record(&event(request)).unwrap();
    }

    fn requests(&self) -> Vec<String> {
        requests(&self.directory.join("audit.jsonl"))
    }

    /// Waits until the writer has healed.
    #[track_caller]
    fn heal(&self) {
        eventually(|| self.audit.flush().is_ok());
        assert_eq!(self.audit.health().failure, None);
        assert_eq!(self.audit.health().queued_events, 0);
    }

    /// Waits for a failure that says `why`, and checks that nothing is taken then.
    #[track_caller]
    fn fails(&self, why: &str) {
        let error = self.audit.flush().unwrap_err();
        assert!(error.to_string().contains(why), "{error} should say {why:?}");
        assert!(self.audit.health().failure.is_some_and(|failure| failure.contains(why)));
        assert_eq!(self.audit.record(&event("while it fails")), Err(AuditUnavailable));
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        // A test that fails must not leave a writer behind that nobody can join.
        self.disk.set(|faults| faults.is_stalled = false);
    }
}

#[track_caller]
fn eventually(mut is_true: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + Duration::from_secs(20);
    while !is_true() {
        assert!(clock.monotonic() < deadline, "it did not happen");
        thread::yield_now();
    }
}

#[test]
fn a_full_disk_stops_the_trail_and_room_heals_it_without_a_loss() {
    // However much of the line the disk still took.
    for bytes_free in [0, 1, 50, 100] {
        let trail = Trail::new(options());
        trail.record("before");
        trail.audit.flush().unwrap();
        trail.disk.set(|faults| faults.bytes_free = Some(bytes_free));
        trail.record("taken");
        trail.fails("no storage space");
        trail.fails("no storage space");
        trail.disk.set(|faults| faults.bytes_free = Some(1_000_000));
        trail.heal();
        trail.record("after");
        trail.audit.close().unwrap();
        assert_eq!(trail.requests(), ["before", "taken", "after"], "{bytes_free}");
        assert_eq!(holds(&trail.directory).notes, [], "{bytes_free}");
        assert_eq!(trail.audit.health().refused_events, 2);
    }
}

#[test]
fn what_waits_is_written_in_order_after_several_failures() {
    let trail = Trail::new(options());
    trail.disk.set(|faults| faults.is_stalled = true);
    let numbers: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    numbers.iter().for_each(|number| trail.record(number));
    trail.disk.set(|faults| {
        faults.bytes_free = Some(10_000);
        faults.is_stalled = false;
    });
    eventually(|| trail.audit.health().failure.is_some());
    // Room for a part, again and again: each time the writer starts over after what is durable.
    for _ in 0..5 {
        trail.disk.set(|faults| faults.bytes_free = Some(5_000));
        let before = trail.disk.faults.lock().appends;
        eventually(|| trail.disk.faults.lock().appends > before);
    }
    assert!(trail.audit.health().failure.is_some());
    trail.disk.set(|faults| faults.bytes_free = None);
    trail.heal();
    assert_eq!(trail.requests(), numbers);
    assert_eq!(holds(&trail.directory).events, 500);
}

#[test]
fn a_sync_that_failed_is_not_believed_later() {
    for is_sync_losing in [false, true] {
        let trail = Trail::new(options());
        trail.record("before");
        trail.audit.flush().unwrap();
        trail.disk.set(|faults| {
            faults.is_sync_failing = true;
            faults.is_sync_losing = is_sync_losing;
        });
        trail.record("taken");
        trail.fails("input/output error");
        trail.disk.set(|faults| faults.is_sync_failing = false);
        trail.heal();
        // Once, not twice: what the failed attempt left was cut off.
        assert_eq!(trail.requests(), ["before", "taken"]);
        assert_eq!(holds(&trail.directory).events, 2);
    }
}

#[test]
fn a_directory_that_became_unwritable_stops_the_trail_and_heals() {
    let trail = Trail::new(AuditOptions { rotate_bytes: 1, ..options() });
    trail.record("a");
    trail.audit.flush().unwrap();
    trail.disk.set(|faults| faults.is_put_aside_failing = true);
    trail.record("b");
    trail.fails("permission denied");
    assert_eq!(trail.requests(), ["a"]);
    trail.disk.set(|faults| {
        faults.is_put_aside_failing = false;
        faults.is_create_failing = true;
    });
    // The first file is put aside now, and the next one cannot be made.
    eventually(|| trail.directory.names() == ["audit-20261121T101844-1.jsonl", "head"]);
    trail.fails("permission denied");
    trail.disk.set(|faults| faults.is_create_failing = false);
    trail.heal();
    assert_eq!(trail.requests(), ["b"]);
    assert_eq!(requests(&trail.directory.join("audit-20261121T101844-1.jsonl")), ["a"]);
    assert_eq!(holds(&trail.directory).notes, []);
}

/// Each step of a rotation fails, before it is done or after; then all goes on as if it had not.
#[test]
fn a_rotation_that_fails_at_any_step_loses_and_doubles_nothing() {
    // A step that was done all the same is not tried again: the writer may have gone on before
    // anybody sees that it failed.
    type Step = fn(&mut Faults, bool);
    let steps: [(bool, Step); 5] = [
        (true, |faults, fails| faults.is_put_aside_failing = fails),
        (false, |faults, fails| faults.is_put_aside_failing_late = fails),
        (true, |faults, fails| faults.is_create_failing = fails),
        (false, |faults, fails| faults.is_create_failing_late = fails),
        (true, |faults, fails| faults.is_head_failing = fails),
    ];
    for (number, (stays, step)) in steps.iter().enumerate() {
        let trail = Trail::new(AuditOptions { rotate_bytes: 1, ..options() });
        trail.record("a");
        trail.audit.flush().unwrap();
        trail.disk.set(|faults| step(faults, true));
        trail.record("b");
        if *stays {
            trail.fails("permission denied");
        }
        trail.disk.set(|faults| step(faults, false));
        trail.heal();
        trail.record("c");
        trail.audit.close().unwrap();
        let report = holds(&trail.directory);
        assert_eq!((report.events, report.files), (3, 3), "step {number}");
        let names = trail.directory.names();
        assert_eq!(names.len(), 4, "step {number}: {names:?}");
        assert_eq!(trail.requests(), ["c"]);
    }
}

#[test]
fn a_directory_that_goes_away_is_noticed_without_events_and_comes_back() {
    for is_replaced in [false, true] {
        let check_time = Duration::from_millis(1);
        let trail = Trail::new(AuditOptions { check_time, ..options() });
        trail.record("a");
        trail.audit.flush().unwrap();
        let path = trail.directory.path();
        let elsewhere = path.with_extension("elsewhere");
        fs::rename(path, &elsewhere).unwrap();
        if is_replaced {
            fs::write(path, "a file").unwrap();
        }
        // Nobody records anything: readiness tells of it all the same.
        eventually(|| trail.audit.health().failure.is_some());
        assert_eq!(trail.audit.ready(), Err(AuditUnavailable));
        assert_eq!(trail.audit.record(&event("refused")), Err(AuditUnavailable));
        if is_replaced {
            fs::remove_file(path).unwrap();
        }
        fs::rename(&elsewhere, path).unwrap();
        eventually(|| trail.audit.health().failure.is_none());
        trail.record("b");
        trail.audit.close().unwrap();
        let report = holds(&trail.directory);
        assert_eq!(report.events, 2);
    }
}

/// A head that cannot be written for good leaves events that are durable all the same.
#[test]
fn closing_with_a_head_that_fails_loses_no_event() {
    let retry_time = Duration::from_secs(3_600);
    let trail = Trail::new(AuditOptions { retry_time, ..options() });
    trail.disk.set(|faults| faults.is_head_failing = true);
    trail.record("a");
    trail.audit.close().unwrap();
    assert_eq!(trail.requests(), ["a"]);
    let report = holds(&trail.directory);
    assert_eq!((report.events, report.anchored_seq), (1, Some(1)));
}

#[test]
fn a_queue_that_is_full_for_long_refuses_and_is_no_failure() {
    let options = || AuditOptions { room_wait_time: Duration::from_millis(5), ..options() };
    let one = AuditOptions { queue_events_max: 1, ..options() };
    let four = AuditOptions { queue_events_max: 4, ..options() };
    // Lines of "0" to "3" have 111 bytes.
    let line_bytes = 111;
    let bytes = AuditOptions { queue_bytes_max: 4 * line_bytes, ..options() };
    let fewer = AuditOptions { queue_bytes_max: 4 * line_bytes - 1, ..options() };
    for (options, taken) in [(one, 1), (four, 4), (bytes, 4), (fewer, 3)] {
        let trail = Trail::new(options);
        trail.disk.set(|faults| faults.is_stalled = true);
        for number in 0..taken {
            trail.record(&number.to_string());
        }
        for _ in 0..3 {
            assert_eq!(trail.audit.record(&event("x")), Err(AuditUnavailable), "{taken}");
        }
        let health = trail.audit.health();
        assert_eq!((health.failure, health.queued_events), (None, taken));
        assert_eq!(health.refused_events, 3);
        trail.disk.set(|faults| faults.is_stalled = false);
        trail.audit.flush().unwrap();
        trail.record("again");
        trail.audit.flush().unwrap();
        assert_eq!(trail.requests().len(), usize::try_from(taken).unwrap() + 1);
    }
}

#[test]
fn a_full_queue_makes_its_callers_wait() {
    let hour = Duration::from_secs(3_600);
    // Nobody but the first who waits hurries the writer.
    let trail = Trail::new(AuditOptions {
        queue_events_max: 1,
        gather_time: hour,
        room_wait_time: hour,
        ..options()
    });
    trail.disk.set(|faults| faults.is_stalled = true);
    trail.record("0");
    thread::scope(|scope| {
        let audit = &trail.audit;
        let record = |request| scope.spawn(move || audit.record(&event(request)));
        let waiting = ["1", "2", "3"].map(record);
        trail.disk.set(|faults| faults.is_stalled = false);
        for one in waiting {
            assert_eq!(one.join().unwrap(), Ok(()));
        }
    });
    trail.audit.ready().unwrap();
    trail.audit.close().unwrap();
    assert_eq!((trail.requests().len(), trail.audit.health().refused_events), (4, 0));
}

#[test]
fn who_waits_for_room_is_refused_when_the_file_fails() {
    let hour = Duration::from_secs(3_600);
    let trail = Trail::new(AuditOptions {
        queue_events_max: 1,
        room_wait_time: hour,
        retry_time: hour,
        ..options()
    });
    trail.disk.set(|faults| faults.bytes_free = Some(0));
    trail.record("lost");
    assert_eq!(trail.audit.record(&event("waits")), Err(AuditUnavailable));
    assert_eq!(trail.audit.ready(), Err(AuditUnavailable));
    trail.audit.close().unwrap_err();
}

#[test]
fn a_half_full_queue_is_written_before_its_time() {
    // The writer would gather for an hour; half the queue hurries it.
    let gather_time = Duration::from_secs(3_600);
    let trail = Trail::new(AuditOptions { queue_events_max: 8, gather_time, ..options() });
    for number in 0..100 {
        eventually(|| trail.audit.record(&event(&number.to_string())).is_ok());
    }
    trail.audit.close().unwrap();
    assert_eq!(trail.requests().len(), 100);
}

#[test]
fn flush_and_close_do_not_wait_for_the_gathering() {
    let gather_time = Duration::from_secs(3_600);
    let trail = Trail::new(AuditOptions { gather_time, ..options() });
    trail.record("a");
    trail.audit.flush().unwrap();
    trail.record("b");
    trail.audit.close().unwrap();
    assert_eq!(trail.requests(), ["a", "b"]);
}

#[test]
fn closing_on_a_disk_that_fails_says_what_is_lost() {
    let retry_time = Duration::from_secs(3_600);
    let trail = Trail::new(AuditOptions { retry_time, ..options() });
    trail.disk.set(|faults| faults.bytes_free = Some(0));
    trail.record("lost");
    trail.fails("no storage space");
    let error = trail.audit.close().unwrap_err();
    assert_eq!(error.queued_events, 1);
    assert!(error.to_string().starts_with("1 audit events are not written: cannot write"));
    assert_eq!(trail.audit.close().unwrap_err(), error);
    assert_eq!(trail.requests(), [""; 0]);
}

#[test]
fn closing_tries_once_more() {
    let retry_time = Duration::from_secs(3_600);
    let trail = Trail::new(AuditOptions { retry_time, ..options() });
    trail.disk.set(|faults| faults.is_sync_failing = true);
    trail.record("saved");
    trail.fails("input/output error");
    trail.disk.set(|faults| faults.is_sync_failing = false);
    trail.audit.close().unwrap();
    assert_eq!(trail.requests(), ["saved"]);
}

#[test]
fn a_writer_that_dies_leaves_a_trail_that_takes_nothing() {
    let trail = Trail::new(options());
    trail.record("before");
    trail.audit.flush().unwrap();
    trail.disk.set(|faults| faults.is_panicking = true);
    trail.record("taken");
    trail.fails("ended unexpectedly");
    assert_eq!(trail.audit.close().unwrap_err().queued_events, 1);
}

#[test]
fn a_file_cut_while_it_fails_is_not_filled_with_zeros() {
    let trail = Trail::new(options());
    trail.record("before");
    trail.audit.flush().unwrap();
    trail.disk.set(|faults| faults.bytes_free = Some(10));
    trail.record("taken");
    trail.fails("no storage space");
    let current = trail.directory.join("audit.jsonl");
    fs::OpenOptions::new().write(true).open(current).unwrap().set_len(0).unwrap();
    trail.disk.set(|faults| faults.bytes_free = None);
    trail.heal();
    assert_eq!(trail.requests(), ["taken"]);
}

#[test]
fn a_file_removed_while_it_fails_does_not_stop_the_healing() {
    let trail = Trail::new(options());
    trail.record("before");
    trail.audit.flush().unwrap();
    trail.disk.set(|faults| faults.bytes_free = Some(10));
    trail.record("taken");
    trail.fails("no storage space");
    // An operator makes room in the rudest way.
    fs::remove_file(trail.directory.join("audit.jsonl")).unwrap();
    trail.disk.set(|faults| faults.bytes_free = None);
    trail.heal();
    assert_eq!(trail.requests(), ["taken"]);
}
