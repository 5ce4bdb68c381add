//! §7: reports, plans, and what a member does and does not sign after each of them.

use crate::{
    network::{key, members, rules},
    script::Script,
};
use alloy_primitives::B256;
use expect_test::{Expect, expect};
use lian_pbft::{
    Committee, Committees, LogCondition, Plan, Record, Report, ResultLock, Retry, Rules, SignedReport, Standing,
    VotedResult,
};
use lian_types::{BlockNumber, Epoch, MemberIndex, ProposalDigest, View};

/// Height 1 ordered; two members stand for each of two results, this one, member 1, for the right one.
const SPLIT: [&str; 6] = [
    "propose 1a v0",
    "held 1a",
    "executed 1a",
    "prepare 1a v0 by 0 2",
    "commit 1a v0 result by 0",
    "commit 1a v0 wrong by 2 3",
];
/// The view of the retry, begun by its leader, member 1.
const BEGIN: [&str; 2] = ["change 1 2 1a@0", "change 1 3 1a@0"];

fn committees() -> Committees {
    Committees::new([Committee::new(Epoch(0), BlockNumber(0), members(0..4))])
}

fn chain() -> Rules {
    rules(4, 100)
}

fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn lock(height: u64, result: u8) -> ResultLock {
    let digest = ProposalDigest(hash(0xd0));
    ResultLock { height: BlockNumber(height), digest, parent: hash(0xee), hash: hash(result) }
}

/// What a member says who promised a view and stands for results of height 5 and above.
fn report(view: u64, locks: &[ResultLock]) -> Report {
    Report {
        context: chain().context,
        epoch: Epoch(0),
        height: BlockNumber(5),
        digest: ProposalDigest(hash(0xd0)),
        parent: Some(hash(0xee)),
        attempt: 1,
        view: View(view),
        installed: vec![],
        results: locks.iter().map(|lock| VotedResult { attempt: 0, lock: *lock }).collect(),
    }
}

fn sign(member: usize, report: Report) -> SignedReport {
    let signature = key(member).sign(&report.signing_bytes());
    SignedReport { report, signer: MemberIndex(member as u16), signature }
}

fn plan(reports: Vec<SignedReport>) -> Result<Plan, String> {
    Plan::of(&chain(), &committees(), reports).map_err(|error| error.to_string())
}

/// The results that a plan keeps, by height, where so many members stand for each of some results of height 5 and others
/// for none.
fn kept(groups: &[usize], none: usize) -> Vec<(u64, B256)> {
    let results = groups.iter().zip(1u8..).flat_map(|(count, result)| vec![vec![lock(5, result)]; *count]);
    let all: Vec<_> = results.chain(vec![vec![]; none]).enumerate().collect();
    let reports = all.into_iter().map(|(member, locks)| sign(member, report(0, &locks))).collect();
    plan(reports).unwrap().retry.kept.iter().map(|lock| (lock.height.0, lock.hash)).collect()
}

/// A result stays if those who stand for it and those who are silent are a quorum; there are four members.
#[test]
fn keeps_what_may_be_certified() {
    assert_eq!(kept(&[2, 2], 0), []);
    assert_eq!(kept(&[2, 1], 1), []);
    assert_eq!(kept(&[3, 1], 0), [(5, hash(1))]);
    // The fourth member, which does not report, may hold a certificate of the two others and itself.
    assert_eq!(kept(&[2, 1], 0), [(5, hash(1))]);
    assert_eq!(kept(&[1, 1, 1], 0), []);
    assert_eq!(kept(&[2], 1), [(5, hash(1))]);
    assert_eq!(kept(&[], 3), []);
}

/// What was voted above the height counts, too, and the view lies above everything promised.
#[test]
fn heights_above_and_views() {
    let above = [lock(5, 1), lock(6, 2)];
    let reports = vec![sign(0, report(3, &above)), sign(1, report(7, &above)), sign(2, report(0, &[lock(5, 9)]))];
    let plan = plan(reports.clone()).unwrap();
    assert_eq!(plan.retry.kept, above);
    assert_eq!((plan.retry.view, plan.retry.until, plan.retry.attempt), (View(8), BlockNumber(8), 1));
    // The order in which reports are given does not matter, nor that one is given twice.
    let again = [reports.clone(), reports].concat().into_iter().rev().collect();
    assert_eq!(Plan::of(&chain(), &committees(), again), Ok(plan.clone()));
    assert_eq!(plan.check(&chain(), &committees()), Ok(()));
    let bytes = borsh_bytes(&plan);
    assert_eq!(Record::decode(&bytes).unwrap(), Record::Retry(plan.retry));
}

fn borsh_bytes(plan: &Plan) -> Vec<u8> {
    Record::Retry(plan.retry.clone()).encode()
}

/// Reports that give no plan, and why.
#[test]
fn refuses_reports_with_the_reason() {
    let good = |member| sign(member, report(0, &[lock(5, 1)]));
    let with = |change: &dyn Fn(&mut Report)| {
        let mut third = report(0, &[lock(5, 1)]);
        change(&mut third);
        plan(vec![good(0), good(1), sign(2, third)]).unwrap_err()
    };
    let mut changed = good(2);
    changed.report.results[0].lock.hash = hash(9);
    let mut foreign = good(2);
    foreign.signer = MemberIndex(3);
    let mut stranger = good(2);
    stranger.signer = MemberIndex(4);
    let reasons = [
        plan(vec![]).unwrap_err(),
        plan(vec![good(0), good(1)]).unwrap_err(),
        plan(vec![good(0), good(1), sign(1, report(1, &[]))]).unwrap_err(),
        plan(vec![good(0), good(1), changed]).unwrap_err(),
        plan(vec![good(0), good(1), foreign]).unwrap_err(),
        plan(vec![good(0), good(1), stranger]).unwrap_err(),
        with(&|report| report.attempt = 2),
        with(&|report| report.height = BlockNumber(4)),
        with(&|report| report.digest = ProposalDigest(hash(0xd1))),
        with(&|report| report.parent = Some(hash(0xef))),
        with(&|report| report.epoch = Epoch(1)),
        with(&|report| report.context.chain_id = 1),
        with(&|report| report.results[0].lock.height = BlockNumber(4)),
        with(&|report| report.results[0].attempt = 1),
        with(&|report| report.installed = vec![1]),
        with(&|report| report.installed = vec![0]),
        with(&|report| report.results.insert(0, VotedResult { attempt: 0, lock: lock(6, 1) })),
        with(&|report| report.view = View(u64::MAX)),
    ];
    expect![[r#"
        there is no report
        2 reports, a quorum is 3
        member 1 has made two different reports
        the report of member 2 does not bear that member's signature: signature does not match key 0xed00f00fec2d65aaf3bd67a4ceaf094f041f36c008145309df2bc48fcd44ac2708
        the report of member 3 does not bear that member's signature: signature does not match key 0xedaf063d74071850cf32f832a4f73b82a15382a89e14a0353a00a370f33bb17c3f
        member 4 does not exist
        the report of member 2 is for attempt 2, that of member 0 for 1
        the report of member 2 is for height 4, that of member 0 for 5
        the report of member 2 is for proposal 0xd1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1, that of member 0 for 0xd0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0
        the report of member 2 is for parent 0xefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef, that of member 0 for 0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
        the report of member 2 is for epoch 1, which does not decide height 5
        the report of member 2 is of chain 1 group 0 (genesis 0x0909090909090909090909090909090909090909090909090909090909090909), this one is chain 20200 group 0 (genesis 0x0909090909090909090909090909090909090909090909090909090909090909)
        the report of member 2 names a result of height 4 out of place
        the report of member 2 names a result of height 5 out of place
        the report of member 2 names an earlier retry out of place
        the report of member 2 names an earlier retry out of place
        the report of member 2 names a result of height 5 out of place
        member 2 reports view 18446744073709551615, above which there is none"#]].assert_eq(&reasons.join("\n"));
    // A member whose block below is not final says nothing of it.
    let mut unsure = report(0, &[]);
    unsure.parent = None;
    assert!(plan(vec![good(0), good(1), sign(2, unsure)]).is_ok());
}

/// A second retry: what was voted under each plan counts in the views of that plan, and a member that lacks a plan votes on
/// by its old result.
#[test]
fn a_second_plan_tells_the_attempts_apart() {
    let (one, two) = (lock(5, 1), lock(5, 2));
    let second = |member: usize, installed: &[u64], results: &[(u64, ResultLock)]| {
        let mut report = report(9, &[]);
        report.attempt = 2;
        report.installed = installed.to_vec();
        report.results = results.iter().map(|(attempt, lock)| VotedResult { attempt: *attempt, lock: *lock }).collect();
        sign(member, report)
    };
    let kept = |reports: Vec<SignedReport>| {
        let plan = plan(reports).unwrap();
        assert_eq!(plan.retry.attempt, 2);
        plan.retry.kept.iter().map(|lock| lock.hash).collect::<Vec<_>>()
    };
    // Each result has four votes, but never three in one attempt.
    let both = |first, then| vec![(0, first), (1, then)];
    let swapped = [both(one, two), both(one, two), both(two, one), both(two, one)];
    let swapped = swapped.iter().enumerate().map(|(member, results)| second(member, &[1], results)).collect();
    assert!(kept(swapped).is_empty());
    // What was certified under the first plan stays.
    let first = [both(one, two), both(two, two), both(two, two), vec![(0, one)]];
    let reports = first.iter().enumerate().map(|(member, results)| second(member, &[1], results)).collect();
    assert_eq!(kept(reports), [hash(2)]);
    // The last member has not installed it, and voted for the same in its views.
    let mixed = vec![
        second(0, &[1], &both(one, two)),
        second(1, &[1], &both(one, two)),
        second(2, &[1], &[(0, one)]),
        second(3, &[], &[(0, two)]),
    ];
    assert_eq!(kept(mixed), [hash(2)]);
    // The first plan had to keep a result that the fourth member might have had certified; its report shows that it had not.
    let returned = vec![
        second(0, &[1], &[(0, one)]),
        second(1, &[1], &[(0, one)]),
        second(2, &[1], &[(0, two)]),
        second(3, &[], &[(0, two)]),
    ];
    assert!(kept(returned).is_empty());
}

/// Six members, of which one may be faulty and four are a quorum: two silent ones may have made either result certain.
#[test]
fn two_possible_results_need_more_reports() {
    let committees = Committees::new([Committee::new(Epoch(0), BlockNumber(0), members(0..6))]);
    let reports = [1, 1, 2, 2].into_iter().enumerate();
    let mut reports: Vec<_> = reports.map(|(member, result)| sign(member, report(0, &[lock(5, result)]))).collect();
    let error = Plan::of(&chain(), &committees, reports.clone()).unwrap_err().to_string();
    assert!(
        error.ends_with("could each be certified already by members that have not reported: more reports are needed")
    );
    reports.push(sign(4, report(0, &[])));
    assert!(Plan::of(&chain(), &committees, reports).unwrap().retry.kept.is_empty());
}

/// A plan that somebody has changed.
#[test]
fn refuses_a_plan_that_does_not_follow_from_its_reports() {
    let locks = [lock(5, 1)];
    let reports = (0..3).map(|member| sign(member, report(0, &locks))).collect();
    let right = plan(reports).unwrap();
    let check = |change: &dyn Fn(&mut Plan)| {
        let mut plan = right.clone();
        change(&mut plan);
        plan.check(&chain(), &committees()).unwrap_err().to_string()
    };
    let reasons = [
        check(&|plan| plan.retry.view = View(9)),
        check(&|plan| plan.retry.kept.clear()),
        check(&|plan| plan.retry.attempt = 2),
        check(&|plan| plan.retry.height = BlockNumber(6)),
        check(&|plan| plan.digest = ProposalDigest(hash(1))),
        check(&|plan| plan.reports.reverse()),
        check(&|plan| drop(plan.reports.pop())),
    ];
    expect![[r#"
        the plan's view is not what its reports give
        the plan's kept result is not what its reports give
        the plan's attempt is not what its reports give
        the plan's height is not what its reports give
        the plan's proposal is not what its reports give
        the plan's order of reports is not what its reports give
        2 reports, a quorum is 3"#]]
    .assert_eq(&reasons.join("\n"));
}

/// What a log says is what is reported: the results stood for, the highest view, and the next attempt.
#[test]
fn a_log_gives_a_report() {
    let mut script = Script::new(1);
    script.lines(&SPLIT);
    let right = script.vote(&["commit", "1a", "v0", "result"]).result.unwrap();
    let standing = Standing::of(&script.disk, Epoch(0));
    assert_eq!((standing.view, standing.next_attempt(), standing.reported), (View(0), 1, None));
    assert_eq!(standing.voted[&BlockNumber(1)], script.digest("1a"));
    assert_eq!(standing.results.values().map(|lock| lock.hash).collect::<Vec<_>>(), [right]);
    let retry = retry_of(&mut script, vec![]);
    script.disk.push(Record::Reported { height: BlockNumber(1), attempt: 1 });
    assert_eq!(Standing::of(&script.disk, Epoch(0)).reported, Some((BlockNumber(1), 1)));
    script.disk.push(Record::Retry(retry));
    let standing = Standing::of(&script.disk, Epoch(0));
    assert_eq!((standing.view, standing.next_attempt(), standing.reported), (View(1), 2, None));
    // What it voted for before the plan is still told, as of then; and a report for a later retry binds the next number.
    assert_eq!(standing.results.keys().map(|(attempt, height, _)| (*attempt, height.0)).collect::<Vec<_>>(), [(0, 1)]);
    script.disk.push(Record::Reported { height: BlockNumber(1), attempt: 5 });
    assert_eq!(Standing::of(&script.disk, Epoch(0)).next_attempt(), 5);
}

/// The retry of height 1 in view 1 that keeps some results.
fn retry_of(_script: &mut Script, kept: Vec<ResultLock>) -> Retry {
    Retry { epoch: Epoch(0), height: BlockNumber(1), until: BlockNumber(4), attempt: 1, view: View(1), kept }
}

/// Member 1 after the split and a restart with something more in its log.
fn after_split(more: impl FnOnce(&mut Script) -> Record) -> (Script, String) {
    let mut script = Script::new(1);
    assert!(script.lines(&SPLIT).contains("halt: no result of 1 can win [2, 2]"));
    let record = more(&mut script);
    script.disk.push(record);
    let shown = script.restart(LogCondition::Whole);
    (script, shown)
}

fn shows(script: &mut Script, lines: &[&str], expected: Expect) {
    expected.assert_eq(&script.lines(lines));
}

/// With a plan it promises its view at once, and then another result than before is its own.
#[test]
fn a_plan_moves_to_its_view_and_frees_the_result() {
    let (mut script, shown) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    expect![[r#"
        leave for v1: Retry
        persist view-change v1 base 0 1a@0
        send view-change v1 base 0 1a@0
    "#]]
    .assert_eq(&shown);
    shows(
        &mut script,
        &BEGIN,
        expect![[r#"
        persist new-view v1 of 3 1a
        send new-view v1 of 3 1a
        enter v1
        execute 1a
        persist prepare 1a v1
        send prepare 1a v1
    "#]],
    );
    shows(&mut script, &["executed 1a wrong"], expect![[""]]);
    shows(
        &mut script,
        &["prepare 1a v1 by 2 3"],
        expect![[r#"
        persist prepared 1a@1, lock 1a, commit 1a v1 with result
        send commit 1a v1 with result
    "#]],
    );
}

/// The result that a plan keeps is the only one that is voted for.
#[test]
fn a_kept_result_binds() {
    let keep = |script: &mut Script| {
        let vote = script.vote(&["commit", "1a", "v0", "result"]);
        let parent = crate::network::genesis_head(&chain()).hash;
        let lock = ResultLock { height: vote.height, digest: vote.digest, parent, hash: vote.result.unwrap() };
        Record::Retry(retry_of(script, vec![lock]))
    };
    let prepared = [BEGIN[0], BEGIN[1], "prepare 1a v1 by 2 3"];
    let (mut script, _) = after_split(keep);
    script.lines(&prepared);
    shows(
        &mut script,
        &["executed 1a"],
        expect![[r#"
            persist prepared 1a@1, lock 1a, commit 1a v1 with result
            send commit 1a v1 with result
        "#]],
    );
    let (mut script, _) = after_split(keep);
    script.lines(&prepared);
    shows(
        &mut script,
        &["executed 1a wrong"],
        expect![[r#"
        halt: two results of 1
    "#]],
    );
    // Over a second restart, too.
    script.restart(LogCondition::Whole);
    script.lines(&["held 1a", "prepare 1a v1 by 2 3"]);
    shows(
        &mut script,
        &["executed 1a wrong"],
        expect![[r#"
        halt: two results of 1
    "#]],
    );
}

/// No vote in a view below the plan's, though it never left it before; and votes from then are not repeated.
#[test]
fn nothing_is_voted_below_the_view_of_a_plan() {
    let mut script = Script::new(1);
    script.disk.push(Record::Retry(retry_of(&mut Script::new(1), vec![])));
    script.restart(LogCondition::Whole);
    shows(&mut script, &["propose 1a v0", "held 1a", "executed 1a", "prepare 1a v0 by 0 2 3"], expect![[""]]);
    let (mut script, _) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    shows(
        &mut script,
        &["tick 300"],
        expect![[r#"
        send view-change v1 base 0 1a@0
    "#]],
    );
}

/// A commit of a retry waits for its result however long that takes, and no checkpoint follows it.
#[test]
fn a_retry_commits_with_a_result_and_sends_no_checkpoint() {
    let (mut script, _) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    script.lines(&[BEGIN[0], BEGIN[1], "held 1a", "prepare 1a v1 by 2 3"]);
    shows(
        &mut script,
        &["tick 400"],
        expect![[r#"
        send prepare 1a v1
    "#]],
    );
    shows(&mut script, &["commit 1a v1 bare by 2 3"], expect![[""]]);
    shows(
        &mut script,
        &["executed 1a"],
        expect![[r#"
        persist prepared 1a@1, lock 1a, commit 1a v1 with result
        send commit 1a v1 with result
    "#]],
    );
    shows(&mut script, &["commit 1a v1 bare by 0"], expect![[""]]);
    // A member that never sent a checkpoint sends none, either: old and new ones together must prove nothing.
    let mut script = Script::new(1);
    script.disk.push(Record::Retry(retry_of(&mut Script::new(1), vec![])));
    script.restart(LogCondition::Whole);
    script.lines(&["change 1 2 1a@0", "change 1 3", "held 1a", "prepare 1a v1 by 2 3", "commit 1a v1 bare by 0 2 3"]);
    shows(
        &mut script,
        &["executed 1a"],
        expect![[r#"
        persist prepared 1a@1, lock 1a, commit 1a v1 with result
        send commit 1a v1 with result
    "#]],
    );
}

/// Heights of a retry go one by one: a commit rests on a final block, so that no certificate is for a descendant only.
#[test]
fn heights_of_a_retry_are_committed_one_by_one() {
    let (mut script, _) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    let two = ["pool ready", "transactions 2 x", "held 1a", "executed 1a", "prepare 1a v1 by 2 3"];
    script.lines(&BEGIN);
    script.lines(&two);
    let (height, digest, hash, parent) = script.proposed(2);
    script.executed(height, digest, parent, hash);
    let shown = script.prepares(2, digest, 1, &[2, 3]);
    expect![[""]].assert_eq(&shown);
    shows(
        &mut script,
        &["final 1a"],
        expect![[r#"
        persist prepared own@1, lock own, commit own v1 with result
        send commit own v1 with result
    "#]],
    );
}

/// Old votes do not stop a retry: neither commits of lower views nor checkpoints count. New ones do.
#[test]
fn only_votes_of_the_retry_say_that_nothing_can_win() {
    let (mut script, _) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    script.lines(&[BEGIN[0], BEGIN[1], "held 1a", "prepare 1a v1 by 2 3", "executed 1a"]);
    let old = ["commit 1a v0 result by 0", "commit 1a v0 wrong by 2 3", "checkpoint 1a wrong by 2 3"];
    shows(&mut script, &old, expect![[""]]);
    shows(&mut script, &["commit 1a v1 wrong by 2"], expect![[""]]);
    shows(
        &mut script,
        &["commit 1a v1 worse by 3"],
        expect![[r#"
        halt: no result of 1 can win [1, 1, 1]
    "#]],
    );
    // The next report is for the second attempt, and names what it voted for in the first.
    let standing = Standing::of(&script.disk, Epoch(0));
    assert_eq!((standing.next_attempt(), standing.results.len(), standing.view), (2, 2, View(1)));
    let kept = vec![];
    let second = Retry { attempt: 2, view: View(2), ..retry_of(&mut script, kept) };
    script.disk.push(Record::Retry(second));
    expect![[r#"
        enter v1
        leave for v2: Retry
        execute 1a
        persist view-change v2 base 0 1a@1
        send view-change v2 base 0 1a@1
    "#]]
    .assert_eq(&script.restart(LogCondition::Whole));
    script.lines(&["change 2 2 1a@1", "change 2 3 1a@1", "held 1a"]);
    assert_eq!(script.machine_ref().status().promised, View(2));
}

/// In no slot stand two votes: every vote of the retry is in a view of its own.
#[test]
fn no_slot_gets_two_votes() {
    let (mut script, _) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    script.lines(&[BEGIN[0], BEGIN[1], "held 1a", "prepare 1a v1 by 2 3", "executed 1a wrong"]);
    script.restart(LogCondition::Whole);
    script.lines(&["held 1a", "prepare 1a v1 by 2 3", "executed 1a wrong", "tick 500"]);
    let votes = script.disk.iter().filter_map(|record| match record {
        Record::Vote(signed) => Some(((signed.vote.view, signed.vote.height, signed.vote.phase), signed.vote)),
        _ => None,
    });
    let mut seen = std::collections::BTreeMap::new();
    for (slot, vote) in votes {
        assert_eq!(*seen.entry(slot).or_insert(vote), vote, "{slot:?}");
    }
    assert_eq!(seen.len(), 5);
}

/// Who has reported a height signs nothing for it and above until a plan is there, but goes on below.
#[test]
fn a_report_silences() {
    let (mut script, shown) = after_split(|_| Record::Reported { height: BlockNumber(1), attempt: 1 });
    expect![[""]].assert_eq(&shown);
    for line in ["lost 0", "tick 251", BEGIN[0], BEGIN[1], "held 1a", "prepare 1a v1 by 2 3", "executed 1a"] {
        let shown = script.line(line);
        let votes =
            ["prepare 1a v1", "commit", "checkpoint"].iter().any(|word| shown.contains(&format!("send {word}")));
        assert!(!votes, "{line}: {shown}");
    }
    let mut script = Script::new(1);
    script.disk.push(Record::Reported { height: BlockNumber(2), attempt: 1 });
    script.restart(LogCondition::Whole);
    shows(
        &mut script,
        &["propose 1a v0", "held 1a"],
        expect![[r#"
        execute 1a
        persist prepare 1a v0
        send prepare 1a v0
    "#]],
    );
    shows(
        &mut script,
        &["propose 2a v0", "held 2a"],
        expect![[r#"
        execute 2a
    "#]],
    );
    // A plan ends the silence.
    let retry = retry_of(&mut script, vec![]);
    script.disk.push(Record::Retry(Retry { height: BlockNumber(2), ..retry }));
    script.restart(LogCondition::Whole);
    script.lines(&["change 1 2 1a@0 2a@0", "change 1 3 1a@0 2a@0", "held 1a"]);
    shows(
        &mut script,
        &["held 2a"],
        expect![[r#"
        execute 2a
        persist prepare 2a v1
        send prepare 2a v1
    "#]],
    );
}

/// Who was cleared after a divergence of its own is not stopped by what it stood for, signs nothing until certificates
/// have settled those heights, and votes again above them.
#[test]
fn a_cleared_member_follows_until_it_may_vote() {
    let voted = ["propose 1a v0", "held 1a", "executed 1a wrong", "prepare 1a v0 by 0 2"];
    let again = ["propose 1a v0", "held 1a", "executed 1a"];
    let run = |records: &[Record], lines: &[&str]| {
        let mut script = Script::new(1);
        script.lines(&voted);
        script.disk.extend(records.iter().cloned());
        script.restart(LogCondition::Whole);
        script.lines(lines);
        script
    };
    // Not cleared, its old result stops it again.
    let mut script = run(&[], &again);
    shows(
        &mut script,
        &["commit 1a v0 bare by 0 2 3"],
        expect![[r#"
        halt: two results of 1
    "#]],
    );
    let cleared = [Record::Cleared { through: BlockNumber(1) }];
    let mut script = run(&cleared, &again);
    shows(&mut script, &["commit 1a v0 bare by 0 2 3"], expect![[""]]);
    shows(&mut script, &["tick 300"], expect![[""]]);
    shows(
        &mut script,
        &["certificate 1a 2"],
        expect![[r#"
        certified 1a by checkpoints of 1
    "#]],
    );
    shows(
        &mut script,
        &["final 1a", "propose 2a v0", "held 2a"],
        expect![[r#"
        execute 2a
        persist prepare 2a v0
        send prepare 2a v0
    "#]],
    );
    // The certificate proves what the cleared member still does not compute.
    let mut script = run(&cleared, &["propose 1a v0", "held 1a", "executed 1a wrong"]);
    shows(
        &mut script,
        &["certificate 1a 2"],
        expect![[r#"
        halt: result of 1 differs from a certificate
    "#]],
    );
}

/// A log that is written anew keeps what operators decided.
#[test]
fn live_records_keep_the_plan() {
    let (mut script, _) = after_split(|script| Record::Retry(retry_of(script, vec![])));
    script.lines(&[BEGIN[0], BEGIN[1], "held 1a", "prepare 1a v1 by 2 3", "executed 1a wrong"]);
    let before = Standing::of(&script.disk, Epoch(0));
    let live = script.machine_ref().live_records();
    let after = Standing::of(&live, Epoch(0));
    assert_eq!((after.retry, after.view), (before.retry, before.view));
    // Old segments of the log still tell of the votes from before the plan.
    let since: Vec<_> = before.results.into_iter().filter(|((attempt, ..), _)| *attempt == 1).collect();
    assert_eq!(after.results.into_iter().collect::<Vec<_>>(), since);
    for record in [Record::Reported { height: BlockNumber(1), attempt: 3 }, Record::Cleared { through: BlockNumber(1) }]
    {
        let (script, _) = after_split(|_| record.clone());
        assert!(script.machine_ref().live_records().contains(&record), "{record:?}");
    }
}

/// A result stands for those of the ancestors, too, although they were committed without (§3).
#[test]
fn a_result_locks_its_ancestors() {
    let mut script = Script::new(1);
    script.lines(&["propose 1a v0", "held 1a", "prepare 1a v0 by 0 2", "tick 101"]);
    script.lines(&["propose 2a v0", "held 2a", "executed 1a", "executed 2a"]);
    shows(
        &mut script,
        &["prepare 2a v0 by 0 2"],
        expect![[r#"
        persist prepared 2a@0, lock 1a, lock 2a, commit 2a v0 with result
        send commit 2a v0 with result
    "#]],
    );
}
