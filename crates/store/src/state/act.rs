//! What people do about alerts.

use model::{AlertAction, AlertId, AlertState};
use redb::ReadableTable;

use super::State;
use super::lookup::Lookup;
use super::read::numbered;
use super::record::{HistoryV1, TallyV1};
use super::rules::audit;
use super::schema::{self, get, put};
use super::spans::{self, List};
use crate::StoreError;
use crate::file::Fault;

impl State {
    /// Acknowledges, closes or reopens an alert, and gives the state that it is in now.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is no such alert, or the action makes no sense in its state.
    pub fn change(
        &self,
        id: AlertId,
        action: AlertAction,
        actor: &str,
        reason: &str,
        time_ms: i64,
    ) -> Result<AlertState, StoreError> {
        self.file.write(|txn| {
            let mut tallies = txn.open_table(schema::TALLIES)?;
            let alerts = txn.open_table(schema::ALERTS)?;
            let lookup = txn.open_table(schema::LOOKUP)?;
            let Some((n, alert)) = numbered(&Lookup::over(&lookup)?, &alerts, id)? else {
                return Err(Fault::Refused(format!("there is no alert {id}: see `alerts list`")));
            };
            let tally: TallyV1 = get(&tallies, n)?.unwrap_or_else(|| alert.tally());
            let before = tally.state();
            let Some(after) = before.after(action) else {
                let (action, state) = (action.name(), before.name());
                return Err(Fault::Refused(format!("alert {id} is {state}: `{action}` does nothing to it")));
            };
            put(&mut tallies, n, &TallyV1::new(after, tally.count, tally.last_ms))?;
            let mut spans = txn.open_table(schema::SPANS)?;
            spans::remove(&mut spans, List::State(before), vec![n])?;
            spans::add(&mut spans, List::State(after), n, [alert.first_ms].into_iter())?;
            let mut history = txn.open_table(schema::HISTORY)?;
            let last = history.range((n, 0)..=(n, u64::MAX))?.next_back().transpose()?;
            // That it was raised is the first, and told from the alert itself.
            let number = last.map_or(1, |(key, _)| key.value().1) + 1;
            let entry = HistoryV1 {
                time_ms,
                action: after.name().into(),
                actor: actor.into(),
                reason: reason.into(),
            };
            put(&mut history, (n, number), &entry)?;
            audit(txn, actor, &format!("alert.{}", after.name()), &id.to_string(), reason, time_ms)?;
            Ok(after)
        })
    }
}
