//! An account leaves this machine, or comes to it.

use super::folder;
use super::{Found, ProfileError, Profiles, Standing, folders, known};
use crate::clock::Clock;
use crate::password::Keyring;
use std::path::PathBuf;
use undertone_engine::Carried;

/// An account that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    /// Where its relay is: `HOST:PORT`.
    pub relay: String,
}

impl Profiles {
    /// What another machine needs to be this member, read also while a client works with the profile:
    /// of the one named, or of the only one there is.
    pub fn carry(
        &self,
        who: Option<&str>,
        keys: &mut Keyring<'_>,
    ) -> Result<(String, Carried), ProfileError> {
        let found = match who {
            Some(who) => self.found(who)?,
            None => self.only()?,
        };
        let engine = folder::read(&found.folder, &found.about, keys)?;
        Ok((found.name(), engine.carry()?))
    }

    fn only(&self) -> Result<Found, ProfileError> {
        let mut all = Vec::new();
        for relay in folders(&self.root)? {
            let used = known(&relay)?.into_iter();
            all.extend(used.filter(|found| found.about.standing != Standing::New));
        }
        match all.pop() {
            None => Err(ProfileError::None),
            Some(only) if all.is_empty() => Ok(only),
            Some(last) => {
                all.push(last);
                Err(ProfileError::Several(all.iter().map(Found::name).collect()))
            }
        }
    }

    /// Makes a profile of an account that was carried here: a new device, which takes its place at the
    /// relay at its first start. One of the same account that is here is an error.
    pub fn settle(&self, carried: &Carried, clock: Clock) -> Result<Settled, ProfileError> {
        let (folder, about) = folder::settle_below(&self.root, carried, clock)?;
        let name = about.name.unwrap_or_default();
        Ok(Settled { folder, name, relay: about.relay })
    }
}
