//! Catching up with blocks that are final elsewhere.

use super::{Core, Effect, GroupMessage, Offence, Recipient, SyncWork};
use lian_sync::{Effect as SyncEffect, Input as SyncInput, SyncMessage};
use lian_types::{ConsensusKey, Millis};

impl Core {
    pub(super) fn on_sync_message(
        &mut self,
        now: Millis,
        peer: ConsensusKey,
        message: SyncMessage,
        effects: &mut Vec<Effect>,
    ) {
        match message {
            SyncMessage::Status(status) => self.step_sync(now, SyncInput::Status { peer, status }, effects),
            SyncMessage::Blocks { request, blocks } => {
                self.step_sync(now, SyncInput::Blocks { peer, request, blocks }, effects);
            }
            SyncMessage::GetBlocks(request) => effects.push(Effect::Sync(SyncWork::Serve { to: peer, request })),
        }
    }

    pub(super) fn step_sync(&mut self, now: Millis, input: SyncInput, effects: &mut Vec<Effect>) {
        let mut out = Vec::new();
        self.sync.step(now, input, &mut out);
        for effect in out {
            match effect {
                SyncEffect::Send { peer, message } => {
                    effects.push(Effect::Send { to: Recipient::One(peer), message: GroupMessage::Sync(message) });
                }
                SyncEffect::Verify { batch, parent, blocks } => {
                    effects.push(Effect::Sync(SyncWork::Verify { batch, parent, blocks }));
                }
                SyncEffect::Apply { blocks } => effects.push(Effect::Sync(SyncWork::Apply(blocks))),
                SyncEffect::Misbehaved { peer, evidence } => {
                    effects.push(Effect::Misbehaved { peer, what: Offence::Sync(evidence) });
                }
                SyncEffect::Behind { target } => tracing::info!(%target, "catching up"),
                SyncEffect::CaughtUp { height } => tracing::info!(%height, "caught up"),
            }
        }
    }
}
