//! The verdict on one append, and what an accepted one changes.

use super::facts::{Facts, Live, Mark, same};
use crate::limits::MAX_WRITERS;
use undertone_wire::codec::List;
use undertone_wire::frame::{Append, Code, EntryKind};
use undertone_wire::ids::{ClientId, Hash};

/// What becomes of an append.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is the next entry.
    Accept,
    /// It was accepted before.
    Again { position: u64, time: u64 },
    /// It was refused; what a detail is, the code says.
    Refuse(Code, u64),
}

/// An append's place in the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) time: u64,
    pub(super) hash: Hash,
}

/// What an accepted append pushed out: the oldest entry of its writer.
pub(super) type GaveWay = Option<Live>;

impl Facts {
    /// Judges by order alone; quotas come after. `refused`: the number of an earlier append of this
    /// connection that was refused and did not come again.
    pub(super) fn judge(
        &self,
        append: &Append,
        writer: &Hash,
        hash: &Hash,
        refused: Option<u64>,
    ) -> Judgement {
        let mark = self.marks.get(writer);
        // What was accepted once is acknowledged whatever has happened since.
        if let Some(mark) = mark.filter(|mark| mark.number == append.writer_number) {
            return if mark.hash == *hash {
                Judgement::Again { position: mark.position, time: mark.time }
            } else {
                Judgement::Refuse(Code::Conflict, 0)
            };
        }
        let opens =
            self.epoch(append.epoch).is_some_and(|epoch| same(&epoch.token, &append.token.hash()));
        let expected = mark.map_or(0, |mark| mark.number).saturating_add(1);
        if !opens {
            Judgement::Refuse(Code::TokenUnknown, 0)
        } else if refused.is_some_and(|number| append.writer_number > number) {
            Judgement::Refuse(Code::Follows, 0)
        } else if append.writer_number != expected {
            Judgement::Refuse(Code::OutOfOrder, expected)
        } else if self.header.ended {
            Judgement::Refuse(Code::Ended, 0)
        } else if append.epoch != self.header.epoch {
            Judgement::Refuse(Code::Stale, self.header.epoch)
        } else {
            Judgement::Accept
        }
    }

    /// Makes room for a writer that is new here. False if all that are known have live entries.
    pub(super) fn admit(&mut self, writer: &Hash) -> bool {
        if self.marks.len() < MAX_WRITERS || self.marks.contains_key(writer) {
            return true;
        }
        let trimmed = self.header.trimmed;
        let mut silent: Option<(u64, Hash)> = None;
        // Which one is found does not depend on the order of the walk: positions are unique.
        self.marks.retain(|writer, mark| {
            if mark.position <= trimmed && silent.is_none_or(|(least, _)| mark.position < least) {
                silent = Some((mark.position, *writer));
            }
            true
        });
        if let Some((_, writer)) = silent {
            self.remove_mark(writer);
        }
        silent.is_some()
    }

    /// Where the next entry goes.
    pub(super) fn next_position(&self) -> u64 {
        self.header.head.saturating_add(1)
    }

    /// Takes an append that was judged [`Judgement::Accept`].
    pub(super) fn accept(
        &mut self,
        append: &Append,
        writer: Hash,
        member: ClientId,
        place: Place,
    ) -> GaveWay {
        let size = append.body.len() as u64;
        let header = &mut self.header;
        header.head = place.position;
        header.head_hash = place.hash;
        header.entries += 1;
        header.bytes += size;
        match append.kind {
            EntryKind::Application => {}
            EntryKind::Commit { next } => self.open_epoch(next, place.position),
            EntryKind::Last => header.ended = true,
        }
        let (live, gave_way) = self.make_room(&writer, Live { position: place.position, size });
        let Place { position, time, hash } = place;
        let number = append.writer_number;
        self.set_mark(writer, Mark { number, hash, position, time, member, live });
        gave_way
    }

    /// The entry that would have to go for a new one of this writer.
    pub(super) fn oldest_in_the_way(&self, writer: &Hash) -> GaveWay {
        let mut live = self.live_of(writer);
        let oldest = live.next()?;
        let full = live.count() + 1 >= usize::from(self.header.per_writer);
        full.then_some(oldest)
    }

    /// The writer's live entries, oldest first, in a log that bounds their number.
    fn live_of(&self, writer: &Hash) -> impl Iterator<Item = Live> {
        let trimmed = self.header.trimmed;
        let known = self.marks.get(writer).map_or(&[][..], |mark| &mark.live);
        known.iter().filter(move |live| live.position > trimmed).copied()
    }

    /// The writer's live entries with the new one, and the one that had to go for it.
    fn make_room<const MAX: usize>(
        &mut self,
        writer: &Hash,
        new: Live,
    ) -> (List<Live, MAX>, GaveWay) {
        if self.header.per_writer == 0 {
            return (List::default(), None);
        }
        let gave_way = self.oldest_in_the_way(writer);
        if let Some(gone) = gave_way {
            self.header.entries = self.header.entries.saturating_sub(1);
            self.header.bytes = self.header.bytes.saturating_sub(gone.size);
        }
        let stays = self.live_of(writer).skip(usize::from(gave_way.is_some()));
        let live = stays.chain([new]).collect();
        // A log that allowed more than the list's bound was refused at its creation.
        (List::new(live).unwrap_or_default(), gave_way)
    }
}
