//! Step tables: after some inputs, what one more leads to.

use crate::script::{Script, last};
use expect_test::{Expect, expect};
use lian_pbft::LogCondition;

/// What the last of some lines leads to, on a fresh machine of member `me`.
fn check(me: usize, lines: &[&str], expected: Expect) {
    expected.assert_eq(&last(me, lines));
}

/// Height 1 prepared by a quorum and executed here.
const PREPARED: [&str; 4] = ["propose 1a v0", "held 1a", "executed 1a", "prepare 1a v0 by 0 2"];
/// Heights 1 and 2 proposed, with bodies, and executed.
const TWO: [&str; 6] = ["propose 1a v0", "held 1a", "executed 1a", "propose 2a v0", "held 2a", "executed 2a"];

fn after<'a>(start: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [start, more].concat()
}

/// §2: a follower.
#[test]
fn normal_case_of_a_follower() {
    check(
        1,
        &["propose 1a v0"],
        expect![[r#"
        check 1a
    "#]],
    );
    check(
        1,
        &["propose 1a v0", "held 1a"],
        expect![[r#"
        execute 1a
        persist prepare 1a v0
        send prepare 1a v0
    "#]],
    );
    check(
        1,
        &PREPARED,
        expect![[r#"
        persist prepared 1a@0, lock 1a, commit 1a v0 with result
        send commit 1a v0 with result
    "#]],
    );
    check(
        1,
        &after(&PREPARED, &["commit 1a v0 result by 0 2"]),
        expect![[r#"
        certified 1a by commits v0 of 1
    "#]],
    );
    check(
        1,
        &after(&PREPARED, &["commit 1a v0 result by 0 2", "final 1a", "propose 2a v0"]),
        expect![[r#"
        check 2a
    "#]],
    );
}

/// §1, §2: the leader.
#[test]
fn normal_case_of_the_leader() {
    check(
        0,
        &["pool ready"],
        expect![[r#"
        want transactions for 1 v0 on genesis
    "#]],
    );
    check(
        0,
        &["pool ready", "transactions 1 x"],
        expect![[r#"
        persist pre-prepare own v0
        send pre-prepare own v0
        execute own
        want transactions for 2 v0 on own
        persist prepare own v0
        send prepare own v0
    "#]],
    );
    // No empty blocks (§6), and nothing asked twice.
    check(0, &["pool ready", "transactions 1"], expect![[""]]);
    check(0, &["pool ready", "transactions 1", "tick 10"], expect![[""]]);
    check(1, &["pool ready"], expect![[""]]);
    // Four heights are open in this window, not a fifth.
    let filled = ["pool ready", "transactions 1 a", "transactions 2 b", "transactions 3 c", "transactions 4 d"];
    check(
        0,
        &filled,
        expect![[r#"
        persist pre-prepare own v0
        send pre-prepare own v0
        execute own
        persist prepare own v0
        send prepare own v0
    "#]],
    );
}

/// §2: a prepare needs the parent, the bodies, and the first proposal of the slot.
#[test]
fn prepares_only_what_it_may() {
    check(1, &["propose 2a v0", "held 2a"], expect![[""]]);
    check(
        1,
        &["propose 2a v0", "held 2a", "propose 1a v0", "held 1a"],
        expect![[r#"
        execute 1a
        execute 2a
        persist prepare 1a v0
        send prepare 1a v0
        persist prepare 2a v0
        send prepare 2a v0
    "#]],
    );
    check(1, &["propose 1a v0", "held 1a", "propose 2b<1b v0", "held 2b"], expect![[""]]);
    check(
        1,
        &["propose 1a v0", "propose 1b v0"],
        expect![[r#"
        member 0 misbehaved: TwoProposals
    "#]],
    );
    check(1, &["propose 1a v0", "propose 1b v0", "held 1b"], expect![[""]]);
    check(
        1,
        &["propose 1a v0", "invalid 1a"],
        expect![[r#"
        member 0 misbehaved: InvalidProposal
        leave for v1: InvalidProposal
        persist view-change v1 base 0
        send view-change v1 base 0
    "#]],
    );
    check(1, &["propose 1a v0", "held 1a", "propose 1a v0"], expect![[""]]);
    check(1, &["propose 9a v0"], expect![[""]]);
    check(
        1,
        &["propose 1d v0"],
        expect![[r#"
        refused: proposal of height 1 in view 0 is not by its leader, member 0
    "#]],
    );
}

/// §2: commits go in the order of heights, and only after a quorum of prepares of one view.
#[test]
fn commits_only_in_order() {
    check(1, &after(&TWO, &["prepare 2a v0 by 0 2"]), expect![[""]]);
    check(
        1,
        &after(&TWO, &["prepare 2a v0 by 0 2", "prepare 1a v0 by 0 2"]),
        expect![[r#"
        persist prepared 1a@0, lock 1a, commit 1a v0 with result
        send commit 1a v0 with result
        persist prepared 2a@0, lock 2a, commit 2a v0 with result
        send commit 2a v0 with result
    "#]],
    );
    check(1, &after(&TWO, &["prepare 1a v0 by 2"]), expect![[""]]);
    check(1, &after(&TWO, &["prepare 1a v0 by 2", "prepare 1a v1 by 0 3"]), expect![[""]]);
    check(1, &after(&TWO, &["prepare 1a v0 by 2 2 2"]), expect![[""]]);
    check(1, &after(&TWO, &["prepare 1a v0 by 2", "prepare 1b v0 by 0 3"]), expect![[""]]);
    // Order needs the height below, too: commits of height 2 alone order nothing.
    check(1, &after(&TWO, &["commit 2a v0 bare by 0 2 3"]), expect![[""]]);
}

/// §2: a commit waits a little for its result, then goes without.
#[test]
fn holds_a_commit_for_its_result() {
    let start = ["propose 1a v0", "held 1a", "prepare 1a v0 by 0 2"];
    check(1, &start, expect![[""]]);
    check(
        1,
        &after(&start, &["executed 1a"]),
        expect![[r#"
        persist prepared 1a@0, lock 1a, commit 1a v0 with result
        send commit 1a v0 with result
    "#]],
    );
    check(
        1,
        &after(&start, &["tick 101"]),
        expect![[r#"
        persist prepared 1a@0, commit 1a v0 bare
        send commit 1a v0 bare
    "#]],
    );
    check(1, &after(&start, &["tick 101", "commit 1a v0 bare by 0 2"]), expect![[""]]);
    check(
        1,
        &after(&start, &["tick 101", "commit 1a v0 bare by 0 2", "executed 1a"]),
        expect![[r#"
        persist lock 1a, checkpoint 1a with result
        send checkpoint 1a with result
    "#]],
    );
    check(
        1,
        &after(&start, &["tick 101", "commit 1a v0 bare by 0 2", "executed 1a", "checkpoint 1a by 0 3"]),
        expect![[r#"
            certified 1a by checkpoints of 1
        "#]],
    );
}

/// §4: a certificate is a quorum's commits of one view and result or a quorum's checkpoints, never a mixture.
#[test]
fn certificates_are_never_mixed() {
    check(
        1,
        &after(&PREPARED, &["commit 1a v0 result by 0", "commit 1a v0 bare by 2 3"]),
        expect![[r#"
        persist checkpoint 1a with result
        send checkpoint 1a with result
    "#]],
    );
    check(1, &after(&PREPARED, &["commit 1a v0 result by 0", "commit 1a v1 result by 2 3"]), expect![[""]]);
    check(1, &after(&PREPARED, &["commit 1a v1 result by 2 3", "checkpoint 1a by 0 2"]), expect![[""]]);
    let checkpoints = ["commit 1a v0 result by 0", "commit 1a v0 bare by 2", "checkpoint 1a by 0 2"];
    check(
        1,
        &after(&PREPARED, &checkpoints),
        expect![[r#"
        certified 1a by checkpoints of 1
    "#]],
    );
    // A certificate orders the ancestors; each is reported with a certificate of its own.
    let both = ["prepare 1a v0 by 0 2", "prepare 2a v0 by 0 2", "commit 2a v0 result by 0 2"];
    check(
        1,
        &after(&TWO, &both),
        expect![[r#"
        persist checkpoint 1a with result
        send checkpoint 1a with result
    "#]],
    );
    check(
        1,
        &after(&TWO, &after(&both, &["checkpoint 1a by 0 2"])),
        expect![[r#"
        certified 1a by checkpoints of 1
        certified 2a by commits v0 of 2
    "#]],
    );
    check(
        1,
        &after(&TWO, &after(&both, &["tick 300"])),
        expect![[r#"
        send prepare 1a v0
        send commit 1a v0 with result
        send checkpoint 1a with result
        send prepare 2a v0
        send commit 2a v0 with result
        send ancestry of 2a with 2
    "#]],
    );
    // It is of use only after the execution.
    check(1, &["propose 1a v0", "held 1a", "certificate 1a 2"], expect![[""]]);
    check(
        1,
        &["propose 1a v0", "held 1a", "certificate 1a 2", "executed 1a"],
        expect![[r#"
        certified 1a by checkpoints of 1
    "#]],
    );
    check(
        1,
        &["propose 1a v0", "certificate 1b 2", "tick 300"],
        expect![[r#"
        behind 1
    "#]],
    );
    check(
        1,
        &["certificate 9a 2"],
        expect![[r#"
        behind 9
    "#]],
    );
}

/// §4: who lacks what lies below a certificate is shown it, executes it and checkpoints it.
#[test]
fn takes_the_ancestry_of_a_certificate() {
    let shown = ["ancestry 2a 1a from 3"];
    check(
        1,
        &shown,
        expect![[r#"
        check 2a
        check 1a
    "#]],
    );
    check(
        1,
        &after(&shown, &["held 2a", "held 1a"]),
        expect![[r#"
        execute 1a
        execute 2a
    "#]],
    );
    check(
        1,
        &after(&shown, &["held 2a", "held 1a", "executed 1a"]),
        expect![[r#"
        persist lock 1a, checkpoint 1a with result
        send checkpoint 1a with result
    "#]],
    );
    let all = ["held 2a", "held 1a", "executed 1a", "executed 2a", "checkpoint 1a by 0 3"];
    check(
        1,
        &after(&shown, &all),
        expect![[r#"
        certified 1a by checkpoints of 1
        certified 2a by commits v0 of 2
    "#]],
    );
    check(
        1,
        &["ancestry 2a 1b from 3"],
        expect![[r#"
        refused: proposal of height 1 does not match its digest
    "#]],
    );
    check(
        1,
        &["ancestry 2a 2a from 3"],
        expect![[r#"
        refused: proposal of height 1 does not match its digest
    "#]],
    );
    check(
        1,
        &["ancestry 9a 8a 7a from 3"],
        expect![[r#"
        behind 9
    "#]],
    );
    // It does not fit what is final here: more than f members are faulty.
    check(
        1,
        &["final 1b", "ancestry 2a 1a from 3"],
        expect![[r#"
        check 2a
        halt: two orders of 1
    "#]],
    );
}

/// §5: leaving a view.
#[test]
fn leaves_a_view() {
    check(
        1,
        &after(&PREPARED, &["tick 999"]),
        expect![[r#"
        send prepare 1a v0
        send commit 1a v0 with result
    "#]],
    );
    check(
        1,
        &after(&PREPARED, &["beat 0 0 0", "beat 2 0 0", "tick 1001"]),
        expect![[r#"
        leave for v1: Timeout
        persist view-change v1 base 0 1a@0
        send view-change v1 base 0 1a@0
    "#]],
    );
    check(1, &["tick 1999"], expect![[""]]);
    check(
        1,
        &["tick 2001"],
        expect![[r#"
        leave for v1: LeaderSilent
        persist view-change v1 base 0
        send view-change v1 base 0
    "#]],
    );
    check(
        1,
        &["lost 0", "tick 251"],
        expect![[r#"
        leave for v1: LeaderLost
        persist view-change v1 base 0
        send view-change v1 base 0
    "#]],
    );
    // Nobody to change the view with.
    check(1, &["lost 0", "lost 2", "tick 251"], expect![[""]]);
    // A member alone moves nobody; f+1 move everybody, to the lowest of their views.
    check(1, &["change 7 3"], expect![[""]]);
    check(
        1,
        &["change 18446744073709551615 3", "change 5 2"],
        expect![[r#"
        leave for v5: Others
        persist view-change v5 base 0
        send view-change v5 base 0
    "#]],
    );
    check(1, &["change 2 3", "change 1 3"], expect![[""]]);
    // The word of others that transactions starve is not enough: this member holds none.
    check(1, &["beat 2 0 0 starving", "beat 3 0 0 starving"], expect![[""]]);
    // Nothing is prepared or committed below a promise.
    check(
        1,
        &after(&["lost 0", "tick 251"], &["propose 1a v0", "held 1a"]),
        expect![[r#"
        execute 1a
    "#]],
    );
    check(1, &after(&PREPARED[..3], &["lost 0", "tick 251", "prepare 1a v0 by 0 2"]), expect![[""]]);
    // But certificates are taken.
    check(
        1,
        &after(&PREPARED[..3], &["lost 0", "tick 251", "certificate 1a 2"]),
        expect![[r#"
        certified 1a by checkpoints of 1
    "#]],
    );
}

/// §5: a quorum of prepares counts only where the bodies are held, or a proposal whose bodies a crash took from everybody
/// would be forced in every later view.
#[test]
fn hides_a_prepared_proposal_without_bodies() {
    let quorum = ["propose 1a v0", "prepare 1a v0 by 0 2 3"];
    let leave = ["lost 0", "tick 251"];
    check(
        1,
        &after(&quorum, &leave),
        expect![[r#"
        leave for v1: LeaderLost
        persist view-change v1 base 0
        send view-change v1 base 0
    "#]],
    );
    // The same with the bodies.
    check(
        1,
        &[&quorum[..], &["held 1a"], &leave].concat(),
        expect![[r#"
        leave for v1: LeaderLost
        persist view-change v1 base 0 1a@0
        send view-change v1 base 0 1a@0
    "#]],
    );
}

/// §5: nobody goes on to a further view before a quorum has left.
#[test]
fn does_not_run_ahead() {
    let left = ["lost 0", "tick 251"];
    check(
        1,
        &after(&left, &["tick 60000"]),
        expect![[r#"
        send view-change v1 base 0
    "#]],
    );
    check(
        2,
        &after(&left, &["change 1 3", "tick 4000"]),
        expect![[r#"
        send view-change v1 base 0
    "#]],
    );
    check(
        2,
        &after(&left, &["change 1 3", "change 1 1", "tick 1999", "tick 2"]),
        expect![[r#"
        leave for v2: NewViewTimeout
        persist view-change v2 base 0
        send view-change v2 base 0
    "#]],
    );
}

/// §5: the new leader, member 1 in view 1.
#[test]
fn starts_a_view() {
    check(
        1,
        &["change 1 2", "change 1 3"],
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 0
        send view-change v1 base 0
        persist new-view v1 of 3
        send new-view v1 of 3
        enter v1
    "#]],
    );
    check(
        1,
        &["change 1 2 1a@0", "change 1 3"],
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 0
        send view-change v1 base 0
        persist new-view v1 of 3 1a
        send new-view v1 of 3 1a
        enter v1
        check 1a
    "#]],
    );
    check(
        1,
        &["change 1 2 1a@0 2a@0", "change 1 3 1a@0", "held 1a"],
        expect![[r#"
        execute 1a
        persist prepare 1a v1
        send prepare 1a v1
    "#]],
    );
    // A gap: height 2 is not prepared anywhere.
    check(
        1,
        &["change 1 2 1a@0 3a@0", "change 1 3 1a@0"],
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 0
        send view-change v1 base 0
        persist new-view v1 of 3 1a
        send new-view v1 of 3 1a
        enter v1
        check 1a
    "#]],
    );
    // Above a base, and the base itself is caught up.
    check(
        1,
        &["change 1 2 2a 3a@0", "change 1 3 1a 2a@0"],
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 2
        send view-change v1 base 2
        persist new-view v1 of 3 3a
        send new-view v1 of 3 3a
        enter v1
        check 3a
    "#]],
    );
    // Two members are no quorum, and one member's second message is none either.
    check(
        1,
        &["lost 0", "tick 251", "change 1 2", "change 1 2 1a@0"],
        expect![[r#"
        member 2 misbehaved: TwoViewChanges
    "#]],
    );
    // Member 2 does not lead view 1.
    check(
        2,
        &["change 1 1", "change 1 3"],
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 0
        send view-change v1 base 0
    "#]],
    );
    // A conflict across views: the highest view wins; the one cut proves why.
    check(
        3,
        &["change 3 0 1a@0 2a@0", "change 3 2 1d@1"],
        expect![[r#"
        leave for v3: Others
        persist view-change v3 base 0
        send view-change v3 base 0
        persist new-view v3 of 3 1d 2a
        send new-view v3 of 3 1d 2a
        enter v3
        check 1d
    "#]],
    );
}

/// §5: what was executed and is not proposed again is discarded; what is proposed again is not executed twice.
#[test]
fn keeps_or_discards_speculation() {
    let executed = after(&TWO, &["prepare 1a v0 by 0 2"]);
    check(
        1,
        &after(&executed, &["change 1 2", "change 1 3"]),
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 0 1a@0
        send view-change v1 base 0 1a@0
        persist new-view v1 of 3 1a
        send new-view v1 of 3 1a
        enter v1
        discard from 2
        persist prepare 1a v1
        send prepare 1a v1
    "#]],
    );
    check(
        1,
        &after(&TWO, &["change 1 2", "change 1 3"]),
        expect![[r#"
        leave for v1: Others
        persist view-change v1 base 0
        send view-change v1 base 0
        persist new-view v1 of 3
        send new-view v1 of 3
        enter v1
        discard from 1
    "#]],
    );
    check(
        1,
        &after(&TWO, &["change 1 2 1a@0", "change 1 3", "prepare 1a v1 by 2 3"]),
        expect![[r#"
        persist prepared 1a@1, lock 1a, commit 1a v1 with result
        send commit 1a v1 with result
    "#]],
    );
}

/// §7: results that differ.
#[test]
fn stops_when_results_differ() {
    check(
        1,
        &["propose 1a v0", "held 1a", "executed 1a wrong", "certificate 1a 2"],
        expect![[r#"
        halt: result of 1 differs from a certificate
    "#]],
    );
    let ordered = after(&PREPARED, &["commit 1a v0 bare by 0 2 3"]);
    check(1, &after(&ordered, &["checkpoint 1a wrong by 0"]), expect![[""]]);
    check(1, &after(&ordered, &["checkpoint 1a wrong by 0 2"]), expect![[""]]);
    check(
        1,
        &after(&ordered, &["checkpoint 1a wrong by 0", "checkpoint 1a worse by 2"]),
        expect![[r#"
        halt: no result of 1 can win [1, 1, 1]
    "#]],
    );
    // One wrong member changes nothing.
    check(
        1,
        &after(&ordered, &["checkpoint 1a wrong by 0", "checkpoint 1a by 2 3"]),
        expect![[r#"
        certified 1a by checkpoints of 1
    "#]],
    );
    check(
        1,
        &["certificate 1a 2", "certificate 1b 3"],
        expect![[r#"
        halt: two orders of 1
    "#]],
    );
    check(
        1,
        &after(&PREPARED, &["commit 1a v0 bare by 0 2 3", "certificate 1b 3"]),
        expect![[r#"
        halt: two orders of 1
    "#]],
    );
}

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
