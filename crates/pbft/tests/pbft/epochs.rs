//! What the members of one epoch say about the heights of another.

use crate::{
    network::{key, members, rules},
    script::Script,
};
use lian_crypto::Verified;
use lian_pbft::{Committee, Input, Message, verify};
use lian_types::{BlockNumber, CertificateKind, Epoch};

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
