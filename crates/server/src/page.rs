//! The files of the web page, as a value: the relay serves them and knows nothing about them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One file.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The contents, shared by all that read them.
    pub bytes: Arc<[u8]>,
}

/// Files by path (`/`, `/app.js`, …). An empty page answers every path with 404.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// By path, from the leading `/` on, without query.
    pub assets: BTreeMap<String, Asset>,
}

impl Page {
    /// The same with one more file.
    pub(crate) fn with(mut self, path: &str, asset: Asset) -> Self {
        self.assets.insert(path.to_owned(), asset);
        self
    }
}
