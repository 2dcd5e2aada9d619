//! A relay that says nothing: nobody can tell whether nobody speaks or everything is dropped. So it is
//! asked for a sign of life, and the person is told since when there was none.

use crate::api::EventKind;
use crate::core::Cx;
use undertone_wire::frame::Request;

/// After this long without a frame the relay is asked for one.
const PING_MS: u64 = 30_000;
/// After this long without a frame the person is told, once.
const SILENT_MS: u64 = 60_000;

/// The relay said something, or a link to it stands.
pub(crate) fn heard(cx: &mut Cx<'_>) {
    cx.core.heard = Some(cx.now);
    (cx.core.pinged, cx.core.silent) = (false, false);
}

/// By running time, so that a clock that jumps makes no silence; what is told is the time of day.
pub(crate) fn watch(cx: &mut Cx<'_>) {
    let Some(heard) = cx.core.heard.filter(|_| !cx.core.silent) else { return };
    let quiet = cx.now.mono_ms.saturating_sub(heard.mono_ms);
    if quiet >= SILENT_MS {
        cx.core.silent = true;
        return cx.news(EventKind::Silent { since: heard.wall_ms });
    }
    let asks = cx.core.registered && !cx.core.pinged;
    if asks && quiet >= PING_MS {
        cx.core.pinged = true;
        cx.send(Request::Ping { nonce: 0 });
        return cx.wake_at(heard.after(SILENT_MS));
    }
    cx.wake_at(heard.after(if asks { PING_MS } else { SILENT_MS }));
}
