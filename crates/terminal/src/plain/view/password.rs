//! `/password`: what is asked, one line after another.

use super::View;
use crate::report::Report;
use crate::secret::cannot_hide;
use undertone_client::client::PasswordChange;
use undertone_client::password::Password;
use undertone_client::profile::ProfileError;
use zeroize::Zeroizing;

/// How far a wish for another password has come.
pub(in crate::plain) enum Changing {
    /// Which one counts now?
    Old,
    /// Which one shall count?
    New { old: Option<Password> },
    /// On a terminal: the same again.
    Again { old: Option<Password>, new: Password },
    /// It is known, and not handed over yet.
    Known(PasswordChange),
    /// It is being done.
    Asked,
}

impl View {
    pub(super) fn change_password(&mut self) {
        if self.setup.guarded {
            self.say("Password now:");
            self.changing = Some(Changing::Old);
        } else {
            self.ask_new(None);
        }
    }

    fn ask_new(&mut self, old: Option<Password>) {
        self.say("New password (an empty line: none):");
        self.changing = Some(Changing::New { old });
    }

    /// Whether the next line is one that nobody should see.
    pub(in crate::plain) fn wants_secret(&self) -> bool {
        use Changing::{Again, New, Old};
        matches!(self.changing, Some(Old | New { .. } | Again { .. }))
    }

    /// Whether a password is being changed just now.
    pub(super) fn is_changing(&self) -> bool {
        matches!(self.changing, Some(Changing::Known(_) | Changing::Asked))
    }

    /// The terminal shows what is typed: nothing secret is asked for.
    pub(in crate::plain) fn cannot_hide(&mut self) {
        self.changing = None;
        self.problem(cannot_hide());
    }

    pub(in crate::plain) fn secret(&mut self, line: Zeroizing<String>) {
        let none = line.is_empty();
        let typed = Password::new(line);
        match (self.changing.take(), typed) {
            (Some(Changing::Old), Some(old)) => self.ask_new(Some(old)),
            (Some(Changing::New { old }), None) if none => self.know(old, None),
            (Some(Changing::New { old }), Some(new)) if self.setup.interactive => {
                self.say("New password again:");
                self.changing = Some(Changing::Again { old, new });
            }
            (Some(Changing::New { old }), Some(new)) => self.know(old, Some(new)),
            (Some(Changing::Again { old, new }), Some(again)) if again == new => {
                self.know(old, Some(new));
            }
            (Some(Changing::Again { .. }), _) => self.not_changed("the two are not the same"),
            (_, None) if none => self.not_changed("no password was given"),
            _ => self.not_changed("a password has at most 1024 bytes"),
        }
    }

    fn not_changed(&mut self, error: &str) {
        self.problem(Report::command(error, "nothing was changed; /password begins again"));
    }

    fn know(&mut self, old: Option<Password>, new: Option<Password>) {
        self.changing = Some(Changing::Known(PasswordChange { old, new }));
    }

    /// What the client is to do.
    pub(in crate::plain) fn take_change(&mut self) -> Option<PasswordChange> {
        match self.changing.take() {
            Some(Changing::Known(change)) => {
                self.changing = Some(Changing::Asked);
                Some(change)
            }
            other => {
                self.changing = other;
                None
            }
        }
    }

    /// It has too much to do just now.
    pub(in crate::plain) fn change_not_taken(&mut self) {
        self.changing = None;
        self.not_changed("the client is busy");
    }

    pub(super) fn password_changed(&mut self, result: Result<bool, ProfileError>) {
        self.changing = None;
        match result {
            Ok(true) => {
                self.setup.guarded = true;
                self.say("This profile has a password now; it is asked for at every start");
            }
            Ok(false) => {
                self.setup.guarded = false;
                self.say(format!("This profile has no password. {UNGUARDED}"));
            }
            Err(error) => self.problem(Report::from(&error)),
        }
    }
}

/// What it means that a profile has no password.
pub(super) const UNGUARDED: &str = "Whoever can read its files can be you; /password sets one";
