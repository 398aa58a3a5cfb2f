//! What has to be looked up in the cluster because an answer (or the lack of one) leaves it open: whether a
//! document has arrived in an older index behind the name, and whose document holds an id that was taken.

use std::sync::Arc;

use bytes::Bytes;

use super::lane_attempt::{Outcome, Shared, read_piece, stopping};
use super::lane_door::Door;
use super::lane_work::Piece;
use crate::deliver::{self, Item, Trouble, Verdict, Wanted, Whole};
use crate::record::{Bitmap, gzip};

/// Before a resend across a rollover: documents that have arrived already are taken out of the work.
pub(super) async fn take_out_arrived<D: Door>(shared: &Arc<Shared<D>>, outcome: &mut Outcome) -> Result<(), Whole> {
    if !outcome.work.sent_before() {
        return Ok(());
    }
    let since = outcome.work.write_index.clone();
    let Some(indices) = shared.indices.since(&shared.client, &outcome.index, since.as_deref()).await? else {
        return Ok(());
    };
    let mut arrived = Vec::new();
    for piece in outcome.work.pieces.iter().filter(|piece| piece.sent) {
        let wanted = ids(shared, piece).await?;
        if wanted.is_empty() {
            continue;
        }
        let (numbers, wanted): (Vec<u32>, Vec<Wanted>) = wanted.into_iter().unzip();
        let stored = shared.indices.stored(&shared.client, &indices, &wanted, false).await?;
        let mut there = Bitmap::none(piece.owed.items);
        let there_already = numbers.into_iter().zip(stored).filter(|(_, stored)| stored.is_some());
        there_already.for_each(|(number, _)| there.set(number));
        arrived.push((piece.key(), there));
    }
    for (key, there) in arrived.into_iter().filter(|(_, there)| !there.is_empty()) {
        let Some(at) = outcome.work.pieces.iter().position(|piece| piece.key() == key && piece.sent) else { continue };
        let piece = &mut outcome.work.pieces[at];
        let mut left = Bitmap::none(piece.owed.items);
        piece.numbers().into_iter().filter(|number| !there.get(*number)).for_each(|number| left.set(number));
        outcome.arrived.push((piece.clone(), left.clone()));
        if left.is_empty() {
            outcome.work.pieces.remove(at);
        } else {
            piece.items = Some(left);
        }
    }
    Ok(())
}

/// The items of a piece that are created, by number, with their ids; none if its stored bytes are damaged, which shows
/// when it is sent. (Of an item that replaces or changes a document, one that is there says nothing.)
async fn ids<D: Door>(shared: &Arc<Shared<D>>, piece: &Piece) -> Result<Vec<(u32, Wanted)>, Whole> {
    let (door, piece) = (shared.door.clone(), piece.clone());
    let read = tokio::task::spawn_blocking(move || {
        let (body, raw_len) = read_piece(&door, &piece, 1).ok()?;
        let raw = gzip::decompress(&body, raw_len).ok()?;
        let items = deliver::items(&raw, piece.count()).ok()?;
        let created = piece.numbers().into_iter().zip(&items).filter(|(_, item)| item.is_create());
        Some(created.map(|(number, item)| (number, wanted(item))).collect())
    });
    Ok(read.await.map_err(|_| stopping())?.unwrap_or_default())
}

fn wanted(item: &Item<'_>) -> Wanted {
    Wanted { id: item.id(), routing: item.routing() }
}

/// Documents whose id was taken at their first send are compared with what is stored.
pub(super) async fn compare<D: Door>(
    shared: &Arc<Shared<D>>,
    outcome: &Outcome,
    body: &Bytes,
    verdicts: &mut [Verdict],
) -> Result<(), Whole> {
    let open: Vec<usize> =
        verdicts.iter().enumerate().filter(|(_, v)| **v == Verdict::Compare).map(|(i, _)| i).collect();
    if open.is_empty() {
        return Ok(());
    }
    let (bytes, raw_max, count, chosen) = (body.clone(), outcome.raw_bytes, outcome.work.count(), open.clone());
    let read = tokio::task::spawn_blocking(move || {
        let raw = gzip::decompress(&bytes, raw_max).map_err(|error| error.to_string())?;
        let items = deliver::items(&raw, count).map_err(|error| error.to_string())?;
        let one = |i: &usize| items.get(*i).map(|item| (wanted(item), item.document.to_vec()));
        Ok(chosen.iter().filter_map(one).unzip())
    });
    let unread = |reason| Whole::Retry { trouble: Trouble::Rejected, wait: None, status: 0, reason };
    let (wanted, documents): (Vec<Wanted>, Vec<Vec<u8>>) = read.await.map_err(|_| stopping())?.map_err(unread)?;
    let indices = shared.indices.behind(&shared.client, &outcome.index).await?;
    let stored = shared.indices.stored(&shared.client, &indices, &wanted, true).await?;
    let processed = shared.plan.pipeline.is_some();
    let mut taken = 0_u32;
    for ((at, document), stored) in open.into_iter().zip(&documents).zip(stored) {
        verdicts[at] = deliver::judge_conflict(document, stored.as_deref(), processed);
        taken += u32::from(matches!(verdicts[at], Verdict::Refused(_)));
    }
    // Once for the request: where one id is taken, thousands may be.
    if taken > 0 {
        tracing::error!(index = %outcome.index, documents = taken, "other documents have the ids of some that were sent for the first time");
    }
    Ok(())
}
