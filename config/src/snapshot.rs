//! Shared state that one writer replaces as a whole and many readers look at without waiting.
//!
//! The only file that uses `arc_swap`: its guards must not live across an await, so none leaves this module.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that is replaced, never changed. Clones share it.
#[derive(Debug)]
pub struct Snapshot<T>(Arc<ArcSwap<T>>);

impl<T> Snapshot<T> {
    /// Starts with `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The value of this moment. It stays as it is however often it is replaced meanwhile. Never blocks.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value for all clones.
    pub fn publish(&self, value: T) {
        self.publish_arc(Arc::new(value));
    }

    /// Replaces the value for all clones with one that is already shared.
    pub fn publish_arc(&self, value: Arc<T>) {
        self.0.store(value);
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Snapshot<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_taken_before_a_change_stays_as_it_was() {
        let snapshot = Snapshot::new(1);
        let before = snapshot.load();
        snapshot.publish(2);
        assert_eq!((*before, *snapshot.load()), (1, 2));
    }

    #[test]
    fn clones_see_what_any_of_them_publishes() {
        let snapshot = Snapshot::new("old");
        let clone = snapshot.clone();
        clone.publish_arc(Arc::new("new"));
        assert_eq!(*snapshot.load(), "new");
    }
}
