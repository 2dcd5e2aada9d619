//! MLS groups driven from steps: what they do, what they refuse, what they leave behind.

#[cfg(test)]
mod counters;
mod groups;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod low_order;
#[cfg(test)]
mod passive;
#[cfg(test)]
mod points;
#[cfg(test)]
mod psk;
#[cfg(test)]
mod randomness;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod trick;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod write_sets;
#[cfg(test)]
mod wycheproof;
