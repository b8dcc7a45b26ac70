//! State of several small numbers in one atomic word: changed by pure functions, shared without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// State that fits into 64 bits.
pub(crate) trait Pack: Copy {
    /// The inverse of [`Pack::unpack`].
    fn pack(self) -> u64;
    /// The inverse of [`Pack::pack`].
    fn unpack(word: u64) -> Self;
}

/// A shared state.
#[derive(Debug)]
pub(crate) struct Packed<S> {
    word: AtomicU64,
    kind: std::marker::PhantomData<S>,
}

impl<S: Pack> Packed<S> {
    pub(crate) fn new(state: S) -> Self {
        Self { word: AtomicU64::new(state.pack()), kind: std::marker::PhantomData }
    }

    pub(crate) fn load(&self) -> S {
        S::unpack(self.word.load(Ordering::Acquire))
    }

    /// Puts what `change` makes of the state in its place and returns what else it says. `change` is repeated when
    /// somebody else was faster.
    pub(crate) fn update<R>(&self, change: impl Fn(S) -> (S, R)) -> R {
        let mut current = self.word.load(Ordering::Acquire);
        loop {
            let (next, result) = change(S::unpack(current));
            let next = next.pack();
            if next == current {
                return result;
            }
            match self.word.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_replaced) => return result,
                Err(changed) => current = changed,
            }
        }
    }
}

/// Fills a word from its low end; a number too large for its bits becomes the largest that fits.
#[derive(Default)]
pub(crate) struct Writer {
    word: u64,
    used: u32,
}

impl Writer {
    pub(crate) fn put(self, number: u64, bits: u32) -> Self {
        let most = (1 << bits) - 1;
        Self { word: self.word | (number.min(most) << self.used), used: self.used + bits }
    }

    pub(crate) fn word(self) -> u64 {
        self.word
    }
}

/// Takes numbers out of a word in the order in which they were put.
pub(crate) struct Reader(pub(crate) u64);

impl Reader {
    /// The next `bits` bits; a type that is too small for them gives its default.
    pub(crate) fn take<T: TryFrom<u64> + Default>(&mut self, bits: u32) -> T {
        let number = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        T::try_from(number).unwrap_or_default()
    }
}
