//! Events that come over the wire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::ScanError;

use super::link::{Incoming, Link};
use crate::events::Delivery;
use crate::proto::{self, request};
use crate::wire;

/// A subscription at a collector. Dropping it ends it there.
pub struct Subscription {
    link: Arc<Link>,
    id: u64,
    ended: bool,
}

impl Subscription {
    pub(super) fn new(link: Arc<Link>, id: u64) -> Subscription {
        Subscription { link, id, ended: false }
    }

    /// The next events; none of them after `wait`, and `None` when no more will come.
    ///
    /// # Errors
    /// [`ScanError::Failed`] when the collector refuses or ends it with a reason,
    /// [`ScanError::Unreachable`] when the connection is lost.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Delivery>, ScanError> {
        if self.ended {
            return Ok(None);
        }
        self.link.replenish(self.id)?;
        let began = Instant::now();
        let late = ScanError::Stopped(model::Stop::Deadline(wait));
        let check = || if began.elapsed() >= wait { Err(late.clone()) } else { Ok(()) };
        match self.link.next(self.id, check) {
            Ok(Incoming::Events(delivery)) => Ok(Some(delivery)),
            Ok(Incoming::End(failure)) => {
                self.ended = true;
                failure.map_or(Ok(None), |failure| Err(wire::scan_error(failure)))
            }
            Ok(other) => Err(self.link.unexpected(&other)),
            Err(error) if error == late => Ok(Some(Delivery::default())),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.link.forget(self.id);
        if !self.ended {
            // A connection that is gone has ended the subscription already.
            let _ = self.link.tell(self.id, request::Body::Cancel(proto::Cancel {}));
        }
    }
}
