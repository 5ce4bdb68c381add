//! The memory that recorded instructions take.

use revm::Inspector;
use revm::interpreter::{InstructionResult, Interpreter};

/// What a recorded instruction takes besides its stack, in bytes.
const STEP_BYTES: usize = 256;
/// What an entry of the stack takes, in bytes.
const STACK_ENTRY_BYTES: usize = 32;

/// Ends a trace that records more instructions than memory allows. The tracer itself counts copies of memory only.
#[derive(Clone, Debug)]
pub(super) struct StepBudget {
    /// Bytes left; `None` where instructions are not recorded.
    left: Option<usize>,
    /// Instructions left to record.
    steps: u64,
    exceeded: bool,
}

impl StepBudget {
    /// For tracers that record no instructions.
    pub(super) const fn unlimited() -> Self {
        Self { left: None, steps: 0, exceeded: false }
    }

    /// At most so many bytes, and so many instructions if the caller says so; zero counts as not saying.
    pub(super) const fn new(bytes: usize, steps: Option<u64>) -> Self {
        let steps = match steps {
            None | Some(0) => u64::MAX,
            Some(steps) => steps,
        };
        Self { left: Some(bytes), steps, exceeded: false }
    }

    pub(super) const fn exceeded(&self) -> bool {
        self.exceeded
    }
}

impl<CTX> Inspector<CTX> for StepBudget {
    fn step(&mut self, interpreter: &mut Interpreter, _context: &mut CTX) {
        let Some(left) = &mut self.left else { return };
        if self.steps == 0 {
            return;
        }
        self.steps = self.steps.saturating_sub(1);
        let stack = interpreter.stack.len().saturating_mul(STACK_ENTRY_BYTES);
        match left.checked_sub(STEP_BYTES.saturating_add(stack)) {
            Some(rest) => *left = rest,
            None => self.exceeded = true,
        }
        if self.exceeded {
            interpreter.halt(InstructionResult::OutOfGas);
        }
    }
}
