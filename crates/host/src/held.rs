//! Memory that a scan holds while it runs, counted against the run's budget.

use model::{Run, Stop};

/// Bytes counted as held, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    run: Run,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub(crate) fn new(run: &Run) -> Held {
        Held { run: run.clone(), bytes: 0 }
    }

    /// Counts more bytes; an error once the run holds too many.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Stop> {
        // A refused amount is counted by the run too, so it has to be given back.
        self.bytes += bytes;
        self.run.hold(bytes)
    }

    /// Gives back some of the bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.run.release(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.run.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_is_given_back_even_after_a_refusal() {
        let run = Run::new(None, 100, std::time::UNIX_EPOCH);
        let mut held = Held::new(&run);
        assert_eq!(held.grow(60), Ok(()));
        assert_eq!(held.grow(60), Err(Stop::Memory(100)));
        held.shrink(100);
        assert_eq!(run.held(), 20);
        drop(held);
        assert_eq!(run.held(), 0);
    }
}
