//! What the members of one epoch say about the heights of another.

use crate::{
    network::{key, members, rules},
    script::Script,
};
use lian_crypto::Verified;
use lian_pbft::{Committee, Heartbeat, Input, LogCondition, Message, verify};
use lian_types::{BlockNumber, CertificateKind, Epoch, View};

/// The members of height 3 and above, none of whom decided before.
fn change() -> Input {
    Input::Members(Committee::new(Epoch(1), BlockNumber(3), members(4..8)))
}

/// A certificate of height 3 by the members who had decided it if they had not changed, checked by somebody who did not
/// know that yet.
fn outdated(script: &mut Script) -> Input {
    let certificate = script.certificate("3a", CertificateKind::Checkpoint);
    let message = Message::Certificate(certificate);
    let message: Verified<Message> = verify(&rules(4, 100), script.machine_ref().committees(), message).unwrap();
    Input::Message { from: key(2).public(), message }
}

/// The machine asks to catch up to what it takes for proven.
fn believes(script: &mut Script) -> bool {
    (0..20).any(|_| script.line("tick 500").contains("behind 3"))
}

#[test]
fn old_members_prove_nothing_beyond_their_end() {
    let mut script = Script::new(1);
    let outdated = outdated(&mut script);
    script.step(outdated.clone());
    assert!(believes(&mut script), "they decide it as far as is known");
    // Whichever comes first, the certificate or the change.
    let mut script = Script::new(1);
    script.step(change());
    script.step(outdated.clone());
    assert!(!believes(&mut script));
    let mut script = Script::new(1);
    script.step(outdated);
    script.step(change());
    assert!(!believes(&mut script));
}

/// A vote for a height of the new members is dropped where it was checked by the old ones.
#[test]
fn a_change_discards_what_old_members_said_about_the_new_heights() {
    let mut script = Script::new(1);
    for member in [0, 2, 3] {
        let vote = script.vote(&["checkpoint", "3a"]);
        let signed = script.signed(vote, member);
        script.message(member, Message::Vote(signed));
    }
    script.step(change());
    assert!(!believes(&mut script));
}

/// Heights whose rules a program does not know are decided by the others: it votes on none of them, whether a message was
/// checked before that was known or comes later, and takes no proof of them for one.
#[test]
fn nothing_is_voted_where_the_rules_are_unknown() {
    let vote = |end: Option<BlockNumber>| {
        let mut script = Script::new(1);
        let pre_prepare = Message::PrePrepare(script.pre_prepare("2a", 0));
        let message = verify(&rules(4, 100), script.machine_ref().committees(), pre_prepare).unwrap();
        if let Some(end) = end {
            script.step(Input::EndBefore(end));
            assert_eq!(script.line("propose 2a v0"), "refused: no members are known for height 2\n");
        }
        let one = script.line("propose 1a v0") + &script.lines(&["held 1a", "executed 1a", "prepare 1a v0 by 0 2"]);
        let two = script.step(Input::Message { from: key(0).public(), message }) + &script.line("held 2a");
        (one, two)
    };
    let ((one, two), (last_one, beyond)) = (vote(None), vote(Some(BlockNumber(2))));
    assert!(two.contains("send prepare 2a v0"), "{two}");
    assert!(!beyond.contains("2a v0"), "{beyond}");
    assert!(
        one.contains("send commit 1a v0") && one == last_one,
        "the last height that it knows is decided: {last_one}"
    );

    let mut script = Script::new(1);
    let outdated = outdated(&mut script);
    script.step(outdated);
    script.step(Input::EndBefore(BlockNumber(3)));
    assert!(!believes(&mut script));
}

/// §3: one that lost its votes and catches up through an epoch of a single member asks that member, if it is not itself;
/// one that is the only member has nobody to ask.
#[test]
fn who_lost_its_votes_asks_a_single_member() {
    for (member, returns) in [(7, true), (1, false)] {
        let mut script = Script::new(1);
        script.restart(LogCondition::Lost);
        script.step(Input::Members(Committee::new(Epoch(1), BlockNumber(3), members(member..member + 1))));
        script.line("final 1a");
        script.line("final 2a");
        let mut beat = |from: usize, epoch: u64| {
            let view = View::ZERO;
            let (epoch, height) = (Epoch(epoch), BlockNumber(2));
            let beat = Heartbeat { epoch, height, view, promised: view, starving: false, abstains_until: None };
            script.message(from, Message::Heartbeat(beat));
            script.machine_ref().status().abstains_until.unwrap().0
        };
        // A member of another epoch is not asked, and one that is further on says that others decide by now.
        assert_eq!(beat(0, 1), u64::MAX);
        assert_eq!(beat(7, 2), u64::MAX);
        assert_eq!(beat(7, 1) < u64::MAX, returns);
    }
}
