//! What a machine does after a crash, and after it lost its votes (docs/spec/pbft.md §3).

use crate::script::Script;
use crate::steps::PREPARED;
use expect_test::expect;
use lian_pbft::LogCondition;

/// §3: after a crash the same bytes, or nothing.
#[test]
fn restarts_without_contradiction() {
    let restarted = |lines: &[&str], more: &[&str]| {
        let mut script = Script::new(1);
        script.lines(lines);
        script.restart(LogCondition::Whole);
        script.lines(more)
    };
    // It prepared 1a: the leader's other proposal finds no vote.
    let prepared = ["propose 1a v0", "held 1a"];
    expect![[r#"
        execute 1b
    "#]]
    .assert_eq(&restarted(&prepared, &["propose 1b v0", "held 1b"]));
    // The same proposal again: nothing new is signed, and the old vote is sent again in time.
    expect![[r#"
        execute 1a
    "#]]
    .assert_eq(&restarted(&prepared, &["propose 1a v0", "held 1a"]));
    expect![[r#"
        send prepare 1a v0
    "#]]
    .assert_eq(&restarted(&prepared, &["propose 1a v0", "held 1a", "tick 300"]));
    // It committed with a result: its view-change knows, and another result stops it.
    expect![[r#"
        leave for v1: LeaderLost
        persist view-change v1 base 0 1a@0
        send view-change v1 base 0 1a@0
    "#]]
    .assert_eq(&restarted(&PREPARED, &["lost 0", "tick 251"]));
    let other = ["propose 1a v0", "executed 1a wrong", "commit 1a v0 bare by 0 2"];
    expect![[r#"
        halt: two results of 1
    "#]]
    .assert_eq(&restarted(&PREPARED, &other));
    // It promised view 1: no vote in view 0 any more.
    expect![[r#"
        execute 1a
    "#]]
    .assert_eq(&restarted(&["lost 0", "tick 251"], &["propose 1a v0", "held 1a"]));
    // It entered view 1 as its leader, and goes on there.
    let entered = ["change 1 2 1a@0", "change 1 3", "held 1a"];
    let again = ["held 1a", "executed 1a", "prepare 1a v1 by 2 3"];
    expect![[r#"
        persist prepared 1a@1, lock 1a, commit 1a v1 with result
        send commit 1a v1 with result
    "#]]
    .assert_eq(&restarted(&entered, &again));
    expect![[r#"
        persist pre-prepare own v1
        send pre-prepare own v1
        execute own
        want transactions for 3 v1 on own
        persist prepare own v1
        send prepare own v1
    "#]]
    .assert_eq(&restarted(&entered, &["held 1a", "pool ready", "transactions 2 x"]));
}

/// §3: what it proposed before a crash it proposes again, and nothing else.
#[test]
fn leader_restarts_without_contradiction() {
    let mut script = Script::new(0);
    script.line("pool ready");
    script.line("transactions 1 x");
    script.restart(LogCondition::Whole);
    expect![[""]].assert_eq(&script.line("pool ready"));
    expect![[r#"
        send pre-prepare own v0
        send prepare own v0
    "#]]
    .assert_eq(&script.line("tick 300"));
}

/// §3: a lost vote log.
#[test]
fn abstains_after_losing_its_log() {
    let mut script = Script::new(1);
    expect![[r#"
        persist abstains true
    "#]]
    .assert_eq(&script.restart(LogCondition::Lost));
    // A second restart finds a log again, which says that it is not the whole one.
    expect![[r#"
        persist abstains true
    "#]]
    .assert_eq(&script.restart(LogCondition::Whole));
    script.disk.clear();
    for line in ["propose 1a v0", "held 1a", "lost 0", "tick 5000"] {
        let shown = script.line(line);
        assert!(!shown.contains("send") && !shown.contains("persist"), "{line}: {shown}");
    }
    // A member that abstains itself does not know what it promised; nor does one report make three.
    assert_eq!(script.machine_ref().status().abstains_until.unwrap().0, u64::MAX);
    script.line("beat 0 3 0");
    script.line("beat 2 5 0");
    assert_eq!(script.machine_ref().status().abstains_until.unwrap().0, u64::MAX);
    script.line("beat 3 4 1");
    // 5 + 2 W, and two views beyond the highest one reported.
    assert_eq!(script.machine_ref().status().abstains_until.unwrap().0, 13);
    for height in 1..13 {
        script.line(&format!("final {height}a"));
    }
    expect![[r#"
        check 13a
    "#]]
    .assert_eq(&script.line("propose 13a v0"));
    expect![[r#"
        forget 13a
        leave for v3: Rejoin
        persist view-change v3 base 13
        persist abstains false
        send view-change v3 base 13
    "#]]
    .assert_eq(&script.line("final 13a"));
    expect![[""]].assert_eq(&script.line("change 2 2 13a"));
    expect![[""]].assert_eq(&script.line("change 3 2 13a"));
}

/// The log that was begun after a loss is lost for the past only: a second start does not promise a view twice.
#[test]
fn keeps_a_promise_made_after_a_loss() {
    let mut script = Script::new(1);
    script.restart(LogCondition::Lost);
    for line in ["beat 0 0 0", "beat 2 0 0", "beat 3 0 0"] {
        script.line(line);
    }
    for height in 1..8 {
        script.line(&format!("final {height}a"));
    }
    let promised = script.line("final 8a");
    assert!(promised.contains("send view-change v2 base 8"), "{promised}");
    // More becomes final, then it starts again; its log still says that something is missing before.
    script.line("final 9a");
    let restarted = script.restart(LogCondition::Lost);
    assert!(restarted.contains("send view-change v2 base 8"), "the same again: {restarted}");
    for line in ["beat 0 9 0", "beat 2 9 0", "beat 3 9 0", "lost 0", "tick 60000", "final 10a"] {
        let shown = script.line(line);
        assert!(!shown.contains("persist view-change v2"), "{line}: {shown}");
        assert!(
            !shown.contains("send view-change v2") || shown.contains("send view-change v2 base 8"),
            "{line}: {shown}"
        );
    }
}
