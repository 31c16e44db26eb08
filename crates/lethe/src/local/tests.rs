use std::process::Command;

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_child_is_ready_when_it_says_so_and_ends_when_asked() {
    let children = process::Children::default();
    let script = "echo starting; echo ready here; exec tail -f /dev/null";
    let (process, line) = children.start_command(shell(script), "ready ", SOON).unwrap();
    assert_eq!(line, "ready here");
    assert_eq!(process.terminate(), Ended::Badly(None), "a shell ends by the signal");
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02 >/dev/null 2>&1; done";
    let (process, _) = children.start_command(shell(script), "ready", SOON).unwrap();
    assert_eq!(process.terminate(), Ended::Well);
}

#[test]
fn a_refusal_is_told_with_its_exit_code() {
    let children = process::Children::default();
    let script = "echo hello; echo 'no such slot' >&2; exit 4";
    let refused = children.start_command(shell(script), "ready", SOON).unwrap_err();
    assert_eq!((refused.exit_code, refused.said.as_str()), (Some(4), "no such slot"));
    let missing = Command::new("/nonexistent/program");
    let refused = children.start_command(missing, "ready", SOON).unwrap_err();
    assert!(refused.said.starts_with("cannot start it: "), "{refused:?}");
}

#[test]
fn a_silent_child_is_given_up() {
    let children = process::Children::default();
    let silent = shell("echo waiting >&2; exec tail -f /dev/null");
    let refused = children.start_command(silent, "ready", Duration::from_millis(100)).unwrap_err();
    assert_eq!(refused.exit_code, None);
    assert!(refused.said.contains("not ready after"), "{refused:?}");
}

#[test]
fn no_child_outlives_its_owner() {
    let is_running = |id: u32| Path::new("/proc").join(id.to_string()).exists();
    let start = |children: &process::Children| {
        let script = "echo ready; exec tail -f /dev/null";
        children.start_command(shell(script), "ready", SOON).unwrap().0
    };
    let children = process::Children::default();
    let dropped = start(&children);
    let id = dropped.id();
    assert!(is_running(id));
    drop(dropped);
    assert!(!is_running(id));
    let kept = start(&children);
    children.kill_all();
    assert!(!is_running(kept.id()));
}

#[test]
fn a_scratch_directory_is_private_and_goes() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new(None).unwrap();
    let path = scratch.path().to_owned();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let inside = Scratch::new(Some(&path)).unwrap();
    assert_eq!(inside.path().parent(), Some(path.as_path()));
    inside.keep();
    let inside_path = inside.path().to_owned();
    drop(inside);
    assert!(inside_path.exists());
    drop(scratch);
    assert!(!path.exists());
    assert!(Scratch::new(Some(Path::new("/nonexistent"))).is_err());
}

#[test]
fn work_ends_with_its_result_and_its_directory() {
    let sandbox = Sandbox::new(None).unwrap();
    let path = sandbox.path().to_owned();
    interruptible(sandbox, |_| Ok(())).unwrap();
    assert!(!path.exists());
    let sandbox = Sandbox::new(None).unwrap();
    let path = sandbox.path().to_owned();
    let failed = interruptible(sandbox, |_| Err(Failure::Usage("no".to_owned()))).unwrap_err();
    assert_eq!(failed.exit_code(), 2);
    assert!(!path.exists());
    let sandbox = Sandbox::new(None).unwrap();
    let path = sandbox.path().to_owned();
    let failed = interruptible(sandbox, |_| panic!("expected by this test")).unwrap_err();
    assert_eq!(failed.exit_code(), 1);
    assert!(!path.exists());
}
