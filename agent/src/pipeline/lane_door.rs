//! What delivery asks of the store: the part of a pipeline's door that `deliver` walks through.
//!
//! A trait so that delivery can be tested against a store that runs out, fails and forgets on demand.

use std::future::Future;

use crate::record::DeadLetter;
use crate::store::{self, Lane, Limit, Owed, Receipt, Settled, StoreError};

pub(crate) trait Door: Clone + Send + Sync + 'static {
    fn lanes(&self) -> Vec<Lane>;
    /// Blocking: not for an async thread.
    fn next(&self, index: &str, limit: Limit) -> Result<Vec<Owed>, StoreError>;
    /// `None`: that takes [`Door::next`].
    fn next_at_hand(&self, index: &str, limit: Limit) -> Option<Vec<Owed>>;
    fn read(&self, owed: &Owed) -> Result<Vec<u8>, StoreError>;
    fn give_back(&self, owed: Vec<Owed>);
    fn settle(&self, settled: Vec<Settled>, dead: Vec<DeadLetter>) -> Result<Receipt, StoreError>;
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// The highest version that documents of this pipeline were ever given.
    fn issued(&self) -> u64;
    /// Somebody else has given a document this version: the next ones are higher.
    fn overtake(&self, version: u64);
}

impl Door for store::Pipeline {
    fn lanes(&self) -> Vec<Lane> {
        store::Pipeline::lanes(self)
    }
    fn next(&self, index: &str, limit: Limit) -> Result<Vec<Owed>, StoreError> {
        store::Pipeline::next(self, index, limit)
    }
    fn next_at_hand(&self, index: &str, limit: Limit) -> Option<Vec<Owed>> {
        store::Pipeline::next_at_hand(self, index, limit)
    }
    fn read(&self, owed: &Owed) -> Result<Vec<u8>, StoreError> {
        store::Pipeline::read(self, owed)
    }
    fn give_back(&self, owed: Vec<Owed>) {
        store::Pipeline::give_back(self, owed);
    }
    fn settle(&self, settled: Vec<Settled>, dead: Vec<DeadLetter>) -> Result<Receipt, StoreError> {
        store::Pipeline::settle(self, settled, dead)
    }
    fn changed(&self) -> impl Future<Output = ()> + Send {
        store::Pipeline::changed(self)
    }
    /// Documents that are made of lines have no version; a replayed dead letter may have one of ours.
    fn issued(&self) -> u64 {
        u64::MAX
    }
    fn overtake(&self, _version: u64) {}
}
