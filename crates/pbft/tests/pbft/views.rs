//! View changes of one machine, step by step (docs/spec/pbft.md §5).

use crate::steps::{PREPARED, TWO, after, check};
use expect_test::expect;

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
