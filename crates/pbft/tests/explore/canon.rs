//! The state of a machine as bytes: its whole `Debug` text but for what makes no difference to what it does later.
//!
//! Left out are:
//! - times: every timeout is as long as the one step of time there is, so that only whether a timer runs counts, and
//!   that is in the text;
//! - signatures: which members signed a certificate changes nothing for who takes it;
//! - what only decides about repetitions, reports and help: the messages of a run stay deliverable for ever, so
//!   repeating one adds nothing;
//! - the message that began the view: its meaning is kept beside the machine;
//! - votes that can count for nothing any more (see [`drop_votes`]) and sums over votes.
//!
//! That states which are the same by this are alike is itself tested: see `states_taken_for_equal_behave_alike`.

/// Fields without a bearing on what is done later, and constant ones.
const LEFT_OUT: [&str; 23] = [
    "asked",
    "beat",
    "behind_at",
    "best_from",
    "committee",
    "committees",
    "config",
    "deadline",
    "entered_by",
    "failed",
    "heard",
    "helped_into_view",
    "helped_to_height",
    "peers",
    "prepared_at",
    "recent",
    "resend_at",
    "resends",
    "round_ms",
    "signature",
    "signatures",
    "voters",
    "watched",
];

/// A value of a `Debug` text: its name or literal, and what it holds, with keys or field names where there are any.
#[derive(Debug)]
struct Node<'a> {
    name: &'a str,
    bracket: Option<u8>,
    parts: Vec<(Option<Node<'a>>, Node<'a>)>,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Node<'a> {
        self.spaces();
        let start = self.at;
        while self.peek().is_some_and(|byte| !b"{([])},: ".contains(&byte)) {
            self.at += 1;
        }
        let name = &self.text[start..self.at];
        let after = self.at;
        self.spaces();
        let open = self.peek().filter(|byte| b"{([".contains(byte));
        if open.is_none() {
            self.at = after;
            return Node { name, bracket: None, parts: vec![] };
        }
        self.at += 1;
        let mut parts = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                Some(b'}' | b')' | b']') | None => break,
                Some(b',') => self.at += 1,
                Some(_) => {
                    let first = self.value();
                    if self.peek() == Some(b':') {
                        self.at += 1;
                        parts.push((Some(first), self.value()));
                    } else {
                        parts.push((None, first));
                    }
                }
            }
        }
        self.at += 1;
        Node { name, bracket: open, parts }
    }
}

impl Node<'_> {
    fn field(&self, name: &str) -> Option<&Self> {
        self.parts.iter().find(|(key, _)| key.as_ref().is_some_and(|key| key.name == name)).map(|(_, value)| value)
    }

    fn is_some(&self) -> bool {
        self.name == "Some"
    }

    /// The number in `View(3)`.
    fn number(&self) -> Option<u64> {
        self.parts.first()?.1.name.parse().ok()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.extend(self.bracket);
        if self.name != "Millis" {
            for (key, value) in &self.parts {
                if let Some(key) = key {
                    if LEFT_OUT.binary_search(&key.name).is_ok() {
                        continue;
                    }
                    key.write(out);
                    out.push(b':');
                }
                value.write(out);
                out.push(b',');
            }
        }
        out.extend(self.bracket);
    }
}

/// Appends what counts of the `Debug` text of a machine that is member `own`. `faulty` is the member whose votes may
/// contradict one another. Member v leads view v, and `views` are explored.
pub(crate) fn canonical(text: &str, own: usize, faulty: usize, views: u64, out: &mut Vec<u8>) {
    let mut root = Parser { text, at: 0 }.value();
    let view = root.field("view").and_then(Node::number).unwrap_or(0);
    let promised = root.field("promised").and_then(Node::number).unwrap_or(0);
    let timers = root.field("timers").and_then(|timers| timers.field("change_since"));
    let last = promised + 1 == views;
    let settled = last || timers.is_some_and(Node::is_some);
    if let Some((_, timers)) = root.parts.iter_mut().find(|(key, _)| is_named(key, "timers")) {
        // From the last view this timer leads out of what is explored.
        timers.parts.retain(|(key, _)| !(last && is_named(key, "change_since")));
    }
    if let Some((_, changes)) = root.parts.iter_mut().find(|(key, _)| is_named(key, "changes")) {
        // Those for the promised view only start the timer that leads out of it.
        changes.parts.retain(|(_, message)| {
            let view = changed_view(message).unwrap_or(0);
            view > promised || (view == promised && (view == own as u64 || !settled))
        });
        changes.parts.iter_mut().for_each(|(_, message)| drop_content(message, own));
    }
    if let Some((_, slots)) = root.parts.iter_mut().find(|(key, _)| is_named(key, "slots")) {
        slots.parts.iter_mut().for_each(|(_, slot)| drop_votes(slot, view, faulty));
    }
    root.write(out);
}

fn is_named(key: &Option<Node>, name: &str) -> bool {
    key.as_ref().is_some_and(|key| key.name == name)
}

fn changed_view(message: &Node) -> Option<u64> {
    message.field("signed")?.field("change")?.field("view")?.number()
}

/// Of a view-change for a view that this member does not lead only the view counts.
fn drop_content(message: &mut Node, own: usize) {
    if changed_view(message) != Some(own as u64) {
        message.parts.retain(|(key, _)| is_named(key, "signed"));
        let signed = message.parts.iter_mut().flat_map(|(_, signed)| &mut signed.parts);
        for (_, change) in signed.filter(|(key, _)| is_named(key, "change")) {
            change.parts.retain(|(key, _)| is_named(key, "view"));
        }
    }
}

/// Drops the votes of a height that can count for nothing any more.
fn drop_votes(slot: &mut Node, view: u64, faulty: usize) {
    let is_some = |name| slot.field(name).is_some_and(Node::is_some);
    let (ordered, certified, checkpointed) = (is_some("ordered"), is_some("certificate"), is_some("own_checkpoint"));
    let prepared = slot.field("prepared").filter(|prepared| prepared.is_some());
    let prepared = prepared.and_then(|some| some.parts[0].1.field("certificate")?.field("view")?.number());
    for (key, value) in &mut slot.parts {
        match key.as_ref().map_or("", |key| key.name) {
            // The sums follow from the votes; of the commits' one that is kept for ever, order is what follows.
            "count" => {
                value.parts.retain(|(key, _)| !ordered && key.as_ref().is_some_and(|key| key.name == "committed"))
            }
            "prepares" => keep_votes(value, |vote, _| {
                let voted = vote.field("view").and_then(Node::number);
                voted >= Some(view) && voted > prepared
            }),
            "commits" => keep_votes(value, |vote, signer| {
                let bare = vote.field("result").is_some_and(|result| !result.is_some());
                !ordered || !certified || (!checkpointed && (bare || signer == Some(faulty as u64)))
            }),
            "checkpoints" => keep_votes(value, |_, _| !certified),
            _ => {}
        }
    }
}

fn keep_votes(votes: &mut Node, keep: impl Fn(&Node, Option<u64>) -> bool) {
    let Some((_, map)) = votes.parts.first_mut() else { return };
    for (signer, list) in &mut map.parts {
        let signer = signer.as_ref().and_then(Node::number);
        list.parts.retain(|(_, signed)| signed.field("vote").is_some_and(|vote| keep(vote, signer)));
    }
    map.parts.retain(|(_, list)| !list.parts.is_empty());
}

#[test]
fn leaves_out_what_does_not_count_and_nothing_else() {
    assert!(LEFT_OUT.is_sorted());
    let text = "A { now: Millis(12), view: View(3), heard: Some(Millis(1)), list: [B { signature: 0xab, c: 1 }], \
                entered_by: Some(X { y: [1, 2] }), map: {K(1): V, K(2): W { }}, none: None }";
    let mut out = Vec::new();
    canonical(text, 0, 0, 9, &mut out);
    let expected = "A{now:Millis((,view:View(3,(,list:[B{c:1,{,[,map:{K(1,(:V,K(2,(:W{{,{,none:None,{";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
