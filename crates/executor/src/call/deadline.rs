//! Ending a call that takes too long.

use revm::Inspector;
use revm::interpreter::{InstructionResult, Interpreter};

/// Instructions between two questions. Most take some nanoseconds, so that a question comes about every 20 µs.
const STEPS_PER_QUESTION: u32 = 4_096;

/// Counts instructions and asks now and then whether to go on.
pub(crate) struct Deadline<'a> {
    cancelled: &'a dyn Fn() -> bool,
    steps: u32,
    tripped: bool,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { cancelled, steps: 0, tripped: false }
    }

    /// Whether the call was ended.
    pub(crate) const fn tripped(&self) -> bool {
        self.tripped
    }
}

impl<CTX> Inspector<CTX> for Deadline<'_> {
    fn step(&mut self, interpreter: &mut Interpreter, _context: &mut CTX) {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(STEPS_PER_QUESTION) && !self.tripped {
            self.tripped = (self.cancelled)();
        }
        if self.tripped {
            // Every frame below ends at its next instruction in the same way.
            interpreter.halt(InstructionResult::OutOfGas);
        }
    }
}
