//! A faulty leader starts its view twice, each time with view-changes that hold.

use crate::script::Script;
use lian_pbft::{Message, NewView, SignedNewView, Statement};
use lian_types::{Epoch, MemberIndex, View};
use std::sync::Arc;

/// The start of view 1 by its leader, with what it says itself to have prepared.
fn start(script: &mut Script, prepared: &[&str], forced: &[&str]) -> Message {
    let changes = [(0, &[][..]), (1, prepared), (2, &[])];
    let changes = changes.map(|(member, words)| script.change(1, member, words).signed).to_vec();
    let proposals = forced.iter().map(|name| script.proposal(name)).collect();
    let new_view = NewView { epoch: Epoch(0), view: View(1), changes, proposals };
    let signature = script.sign(1, &Statement::NewView(Box::new(new_view.clone())));
    Message::NewView(Arc::new(SignedNewView { new_view, signer: MemberIndex(1), signature }))
}

/// Found by the exhaustive exploration: members 0 and 2 decided 1b after the one start; member 3 knows that, and stopped
/// for good when the other start reached it, as though more than one member were faulty.
#[test]
fn second_start_against_what_is_decided_is_not_entered() {
    let mut script = Script::new(3);
    script.line("commit 1b v1 result by 0 1 2");
    let second = start(&mut script, &["1a@0"], &["1a"]);
    assert_eq!(script.message(1, second), "", "neither entered nor halted");
    assert!(!script.machine_ref().status().halted);
    let first = start(&mut script, &[], &[]);
    script.message(0, first);
    assert_eq!(script.machine_ref().status().view, View(1), "the start that the others passed on");
}
