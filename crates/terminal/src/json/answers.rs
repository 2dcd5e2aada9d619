//! Which line of a program is answered by what happens.

use super::asked::Id;
use std::collections::{BTreeMap, VecDeque};

/// Ids that are kept until the answer comes. Answers come within a few round trips, and the engine
/// takes a quarter as many commands at once; the oldest of more is one whose answer never comes.
const MAX_OPEN: usize = 1_024;

/// Ids by the tags of the commands that their lines became.
#[derive(Debug)]
pub(super) struct Answers {
    next_tag: u64,
    ids: BTreeMap<u64, Id>,
    /// Chats to be ended, in order: their end is told without a tag, once the relay has it.
    endings: VecDeque<(u64, Id)>,
    /// Commands that are answered only when they fail, by the ones that were asked right after.
    followed: BTreeMap<u64, u64>,
}

impl Answers {
    pub(super) fn new() -> Self {
        let (ids, endings, followed) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        Self { next_tag: 1, ids, endings, followed }
    }

    /// A tag for a command; its answer carries the id.
    pub(super) fn tag(&mut self, id: Option<Id>) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        if let Some(id) = id {
            keep(&mut self.ids, tag, id);
        }
        tag
    }

    /// A tag for a command that ends a chat.
    pub(super) fn tag_of_end(&mut self, id: Option<Id>) -> u64 {
        let tag = self.tag(id.clone());
        self.endings.extend(id.map(|id| (tag, id)));
        if self.endings.len() > MAX_OPEN {
            self.endings.pop_front();
        }
        tag
    }

    /// A tag for a command whose answer says that the one before it was carried out.
    pub(super) fn tag_after(&mut self, before: u64) -> u64 {
        let tag = self.tag(None);
        keep(&mut self.followed, tag, before);
        tag
    }

    /// The id of the line that is answered first by this.
    pub(super) fn answer(&mut self, tag: Option<u64>) -> Option<Id> {
        self.ids.remove(&tag?)
    }

    /// The command failed: nothing of it will be told later.
    pub(super) fn failed(&mut self, tag: Option<u64>) -> Option<Id> {
        self.endings.retain(|(ending, _)| Some(*ending) != tag);
        self.answer(tag)
    }

    /// A chat that was to be ended has ended.
    pub(super) fn ended(&mut self) -> Option<Id> {
        let (tag, id) = self.endings.pop_front()?;
        self.ids.remove(&tag);
        Some(id)
    }

    /// What was asked before this was carried out, unless it failed.
    pub(super) fn carried_out(&mut self, tag: Option<u64>) -> Option<Id> {
        let before = self.followed.remove(&tag?)?;
        self.ids.remove(&before)
    }
}

/// Keeps one more, and forgets the oldest of too many.
fn keep<T>(kept: &mut BTreeMap<u64, T>, tag: u64, value: T) {
    kept.insert(tag, value);
    if kept.len() > MAX_OPEN {
        kept.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Option<Id> {
        Some(Id::Number(number))
    }

    #[test]
    fn an_id_comes_back_once() {
        let mut answers = Answers::new();
        let (one, two) = (answers.tag(id(1)), answers.tag(None));
        assert_eq!(answers.answer(Some(two)), None);
        assert_eq!(answers.answer(Some(one)), id(1));
        assert_eq!(answers.answer(Some(one)), None);
        assert_eq!(answers.answer(None), None);
    }

    #[test]
    fn an_end_that_failed_gives_its_id_to_no_other() {
        let mut answers = Answers::new();
        let failed = answers.tag_of_end(id(1));
        answers.tag_of_end(id(2));
        assert_eq!(answers.failed(Some(failed)), id(1));
        assert_eq!(answers.ended(), id(2));
        assert_eq!(answers.ended(), None);
    }

    #[test]
    fn what_did_not_fail_was_carried_out() {
        let mut answers = Answers::new();
        let (good, bad) = (answers.tag(id(1)), answers.tag(id(2)));
        let (after_good, after_bad) = (answers.tag_after(good), answers.tag_after(bad));
        assert_eq!(answers.failed(Some(bad)), id(2));
        assert_eq!(answers.carried_out(Some(after_good)), id(1));
        assert_eq!(answers.carried_out(Some(after_bad)), None);
    }

    #[test]
    fn ids_that_nothing_answers_take_no_room_from_others() {
        let mut answers = Answers::new();
        for number in 0..3 * MAX_OPEN as u64 {
            let before = answers.tag_of_end(id(number));
            answers.tag_after(before);
        }
        assert_eq!(answers.ids.len(), MAX_OPEN);
        assert_eq!(answers.endings.len(), MAX_OPEN);
        assert_eq!(answers.followed.len(), MAX_OPEN);
        let last = answers.tag(id(7));
        assert_eq!(answers.answer(Some(last)), id(7));
    }
}
