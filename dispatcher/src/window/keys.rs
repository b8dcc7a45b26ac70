//! Strict order for each record key: one record of a key at a time, the others wait for it in their order.
//!
//! Pure. A key is known by its hash: two keys with the same hash merely wait for each other. A key takes memory only
//! while one of its records is unfinished.
//! Source: design row 10.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// The keys with unfinished records, each with the records that wait for the first.
#[derive(Debug)]
pub(crate) struct Keys<T>(HashMap<u64, VecDeque<T>>);

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Keys<T> {
    /// Gives `item` back if no record of its key is unfinished: it may start. Otherwise keeps it until its turn.
    pub(crate) fn arrive(&mut self, key: u64, item: T) -> Option<T> {
        match self.0.entry(key) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(item)
            }
            Entry::Occupied(mut busy) => {
                busy.get_mut().push_back(item);
                None
            }
        }
    }

    /// The key's record that was under way is finished: the next one of the key may start.
    pub(crate) fn finished(&mut self, key: u64) -> Option<T> {
        let Entry::Occupied(mut busy) = self.0.entry(key) else { return None };
        let next = busy.get_mut().pop_front();
        if next.is_none() {
            busy.remove();
        }
        next
    }
}
