//! Step tables: after some inputs, what one more leads to.

use crate::script::last;
use expect_test::{Expect, expect};

/// What the last of some lines leads to, on a fresh machine of member `me`.
pub(crate) fn check(me: usize, lines: &[&str], expected: Expect) {
    expected.assert_eq(&last(me, lines));
}

/// Height 1 prepared by a quorum and executed here.
pub(crate) const PREPARED: [&str; 4] = ["propose 1a v0", "held 1a", "executed 1a", "prepare 1a v0 by 0 2"];
/// Heights 1 and 2 proposed, with bodies, and executed.
pub(crate) const TWO: [&str; 6] =
    ["propose 1a v0", "held 1a", "executed 1a", "propose 2a v0", "held 2a", "executed 2a"];

pub(crate) fn after<'a>(start: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
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
