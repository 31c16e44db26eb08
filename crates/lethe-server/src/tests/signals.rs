use crate::signals::{StopSignal, StopSignals};
use rustix::process::{Signal, getpid, kill_process};

/// One test for all, since signals go to the whole process.
#[tokio::test]
async fn signals_are_kept_from_the_moment_of_installation() {
    let mut signals = StopSignals::install().unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(signals.next().await, StopSignal::Terminate);
    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(signals.next().await, StopSignal::Interrupt);

    // A wait that is given up loses nothing.
    tokio::select! {
        biased;
        signal = signals.next() => panic!("{signal} came from nowhere"),
        () = core::future::ready(()) => {}
    }
    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(signals.next().await, StopSignal::Interrupt);
    assert_eq!(StopSignal::Interrupt.to_string(), "SIGINT");
    assert_eq!(StopSignal::Terminate.to_string(), "SIGTERM");
}
