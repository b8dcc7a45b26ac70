//! Children that behave, crash, and refuse to end. They are shells: what matters is the process, not the role.

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn shell(role: Role, script: &str) -> ChildSpec {
    ChildSpec {
        role,
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("GREETING", "hello from the environment".into())],
    }
}

fn supervisor() -> (Supervisor, mpsc::Receiver<Said>) {
    let (said, heard) = mpsc::channel(64);
    (Supervisor::new(PathBuf::from("/bin/sh"), said), heard)
}

async fn next(heard: &mut mpsc::Receiver<Said>) -> Said {
    tokio::time::timeout(PATIENCE, heard.recv()).await.expect("the child said nothing").expect("the supervisor lives")
}

async fn next_text(heard: &mut mpsc::Receiver<Said>) -> String {
    match next(heard).await {
        Said::Line(_, Line::Text(text)) => text,
        other @ (Said::Line(..) | Said::Exited(_)) => panic!("expected a line of text, heard {other:?}"),
    }
}

#[test]
fn pauses_double_and_are_bounded() {
    let pauses: Vec<u128> = (0..7).map(|crashes| pause_before_restart(crashes).as_millis()).collect();
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    assert_eq!(pause_before_restart(u32::MAX), LONGEST_PAUSE);
}

#[tokio::test]
async fn both_outputs_of_a_child_are_heard() {
    let (mut supervisor, mut heard) = supervisor();
    supervisor.start(shell(Role::Ingress, "echo \"$GREETING\"; echo trouble >&2; cat"));
    let mut texts = [next_text(&mut heard).await, next_text(&mut heard).await];
    texts.sort();
    assert_eq!(texts, ["hello from the environment", "trouble"]);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_child_that_crashes_is_started_again() {
    let (mut supervisor, mut heard) = supervisor();
    supervisor.start(shell(Role::Dispatcher, "echo started; exit 7"));
    assert_eq!(next_text(&mut heard).await, "started");
    let Said::Exited(exit) = next(&mut heard).await else { panic!("expected its end") };
    assert_eq!((exit.role, exit.how.as_str(), exit.restart_in), (Role::Dispatcher, "exit status: 7", FIRST_PAUSE));
    assert_eq!(next_text(&mut heard).await, "started");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_child_is_asked_to_end_before_it_is_killed() {
    let (mut supervisor, mut heard) = supervisor();
    supervisor
        .start(shell(Role::Ingress, "trap 'echo finished; exit 0' TERM; echo ready; while :; do sleep 0.05; done"));
    assert_eq!(next_text(&mut heard).await, "ready");
    supervisor.stop().await;
    assert_eq!(next_text(&mut heard).await, "finished");
}

#[tokio::test]
async fn a_child_that_does_not_listen_is_killed_when_the_user_insists() {
    let (mut supervisor, mut heard) = supervisor();
    supervisor.start(shell(Role::Ingress, "trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    assert_eq!(next_text(&mut heard).await, "ready");
    let kill = supervisor.kill_token();
    let started = Instant::now();
    let stopping = supervisor.stop();
    kill.cancel();
    tokio::time::timeout(PATIENCE, stopping).await.expect("killed");
    assert!(started.elapsed() < DRAIN, "it was given the whole drain");
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_reported() {
    let (said, mut heard) = mpsc::channel(64);
    let mut supervisor = Supervisor::new(PathBuf::from("/nowhere/millrace"), said);
    supervisor.start(shell(Role::Control, ""));
    let Said::Exited(exit) = next(&mut heard).await else { panic!("expected its end") };
    assert!(exit.how.starts_with("cannot run: "), "{}", exit.how);
    supervisor.stop().await;
}
