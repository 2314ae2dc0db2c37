//! Browsers: WHEP (they watch) and WHIP (they are a site), RFC 9725. One offer, one answer, one session.

use std::net::SocketAddr;
use std::time::Instant;

use bridgepoint_wire::command::IceCredentials;
use str0m::change::SdpOffer;
use str0m::format::Codec;
use str0m::media::{Mid, Pt};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Rtc, RtcConfig};

use crate::clock::Origin;
use crate::plan::{base, creds, host};
use crate::seat::{Known, Seat, Streams, Track};
use crate::{Identity, LinkError, fresh_ice};

/// A browser's session and what it is answered.
pub(crate) struct Answered {
    pub answer: String,
    pub ice: IceCredentials,
    pub seat: Seat,
}

/// Which way the media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// WHEP: to the browser.
    Watch,
    /// WHIP: from it.
    Contribute,
}

/// Where browsers reach this link, and as whom.
pub(crate) struct Home<'a> {
    pub identity: &'a Identity,
    pub addresses: &'a [SocketAddr],
    pub origin: Origin,
}

/// Answers an offer.
pub(crate) fn answer(direction: Direction, offer: &str, home: &Home<'_>, now: Instant) -> Result<Answered, LinkError> {
    let ice = fresh_ice();
    let parsed = SdpOffer::from_sdp_string(offer).map_err(|source| LinkError::Offer(source.to_string()))?;
    let mut rtc = config(direction, offer, home.identity, &ice).build(now);
    for address in home.addresses {
        rtc.add_local_candidate(host(*address)?);
    }
    let answer = rtc.sdp_api().accept_offer(parsed).map_err(|source| LinkError::Offer(source.to_string()))?;
    let streams = match direction {
        Direction::Watch => watching(&mut rtc, offer)?,
        Direction::Contribute => contributing(&rtc, offer)?,
    };
    let local = *home.addresses.first().ok_or_else(|| LinkError::Offer("this server has no address".to_owned()))?;
    let seat = Seat::new(rtc, local, home.origin, streams, now).without_stun();
    Ok(Answered { answer: answer.to_sdp_string(), ice, seat })
}

fn config(direction: Direction, offer: &str, identity: &Identity, ice: &IceCredentials) -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    extensions.set(1, Extension::AudioLevel);
    extensions.set(3, Extension::TransportSequenceNumber);
    // A received MID moves a stream before the packet is authenticated, so it is used only where SSRCs are unknown.
    if direction == Direction::Watch || !offer.contains("a=ssrc:") {
        extensions.set(4, Extension::RtpMid);
    }
    base(identity)
        .set_ice_lite(true)
        .set_local_ice_credentials(creds(ice))
        .set_extension_map(extensions)
        .enable_h264(true)
        .enable_opus(true, false)
}

fn watching(rtc: &mut Rtc, offer: &str) -> Result<Streams, LinkError> {
    let video = mid_of(offer, "video").ok_or_else(|| LinkError::Offer("it asks for no video".to_owned()))?;
    let pt = program_type(rtc, video)
        .ok_or_else(|| LinkError::Offer("it takes no H.264 with packetization-mode=1".to_owned()))?;
    let ssrc_of = |rtc: &mut Rtc, mid| rtc.direct_api().stream_tx_by_mid(mid, None).map(|s| s.ssrc());
    let no_stream = || LinkError::Offer("it does not receive video".to_owned());
    let ssrc = ssrc_of(rtc, video).ok_or_else(no_stream)?;
    let mut streams = Streams::default().send_video(Track::Program, ssrc, pt);
    if let Some(audio) = mid_of(offer, "audio")
        && let Some(pt) = types(rtc, audio, |codec| codec == Codec::Opus).first()
        && let Some(ssrc) = ssrc_of(rtc, audio)
    {
        streams = streams.send_audio(ssrc, *pt);
    }
    Ok(streams)
}

fn contributing(rtc: &Rtc, offer: &str) -> Result<Streams, LinkError> {
    let video = mid_of(offer, "video").map(|mid| types(rtc, mid, |codec| codec == Codec::H264)).unwrap_or_default();
    if video.is_empty() {
        return Err(LinkError::Offer("it offers no H.264 video".to_owned()));
    }
    let audio = mid_of(offer, "audio").map(|mid| types(rtc, mid, |codec| codec == Codec::Opus)).unwrap_or_default();
    let streams = Streams::default().receive_video(Track::Main, Known::Types(video)).foreign();
    Ok(if audio.is_empty() { streams } else { streams.receive_audio(Known::Types(audio)) })
}

/// The first media section of a kind: its MID (RFC 8843 §7.2).
fn mid_of(offer: &str, kind: &str) -> Option<Mid> {
    let mut inside = false;
    for line in offer.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            inside = media.split(' ').next() == Some(kind);
        } else if inside && let Some(mid) = line.strip_prefix("a=mid:") {
            return Some(Mid::from(mid));
        }
    }
    None
}

/// Negotiated payload types of a section, in the offer's order.
fn types(rtc: &Rtc, mid: Mid, wanted: impl Fn(Codec) -> bool) -> Vec<Pt> {
    let agreed = rtc.media(mid).map(|media| media.remote_pts().to_vec()).unwrap_or_default();
    let is_wanted = |pt: &Pt| rtc.codec_config().find(|p| p.pt() == *pt).is_some_and(|p| wanted(p.spec().codec));
    agreed.into_iter().filter(is_wanted).collect()
}

/// The H.264 type to send the program as. Fragments need packetization mode 1. Browsers decode by the stream's own
/// parameter sets, so the profile only decides among several: Main, which the program's encoder makes, then
/// constrained baseline, then any.
fn program_type(rtc: &Rtc, mid: Mid) -> Option<Pt> {
    let candidates = types(rtc, mid, |codec| codec == Codec::H264);
    let rank = |pt: &Pt| {
        let params = rtc.codec_config().find(|p| p.pt() == *pt)?;
        let format = params.spec().format;
        (format.packetization_mode == Some(1)).then(|| match format.profile_level_id.map(|id| id >> 8) {
            Some(0x4D00) => 0,
            Some(0x42E0) => 1,
            _ => 2,
        })
    };
    candidates.into_iter().filter_map(|pt| Some((rank(&pt)?, pt))).min_by_key(|(rank, _)| *rank).map(|(_, pt)| pt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = include_str!("../tests/data/chromium-156-recvonly.sdp");

    fn home(identity: &Identity, addresses: &[SocketAddr]) -> Result<String, LinkError> {
        let home = Home { identity, addresses, origin: Origin::from_ms(0) };
        answer(Direction::Watch, CHROMIUM, &home, Instant::now()).map(|answered| answered.answer)
    }

    #[test]
    fn chromium_is_answered_with_our_address_and_without_other_codecs() {
        let identity = Identity::generate();
        let sdp = home(&identity, &["127.0.0.1:4000".parse().unwrap(), "10.0.0.1:4000".parse().unwrap()]).unwrap();
        for line in ["a=ice-lite", "a=setup:passive", "a=sendonly", "127.0.0.1 4000 typ host", "10.0.0.1 4000 typ host"]
        {
            assert!(sdp.contains(line), "{line} in\n{sdp}");
        }
        assert!(sdp.contains(&identity.fingerprint()));
        assert!(!sdp.contains("VP8") && sdp.contains("opus/48000/2"));
    }

    #[test]
    fn of_chromiums_many_types_of_h264_main_profile_with_fragments_is_taken() {
        let identity = Identity::generate();
        let ice = fresh_ice();
        let mut rtc = config(Direction::Watch, CHROMIUM, &identity, &ice).build(Instant::now());
        rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(CHROMIUM).unwrap()).unwrap();
        let mid = mid_of(CHROMIUM, "video").unwrap();
        assert_eq!(program_type(&rtc, mid), Some(Pt::from(116)));
        assert_eq!(mid_of(CHROMIUM, "audio"), Some(Mid::from("1")));
    }

    #[test]
    fn an_offer_that_cannot_be_served_is_refused_with_a_reason() {
        let identity = Identity::generate();
        let addresses = ["127.0.0.1:4000".parse().unwrap()];
        let home = Home { identity: &identity, addresses: &addresses, origin: Origin::from_ms(0) };
        let without = CHROMIUM.replace("H264", "H263").replace("packetization-mode=1", "packetization-mode=0");
        for offer in [without.as_str(), "", "v=0", "garbage\r\n\0", &CHROMIUM[..900]] {
            for direction in [Direction::Watch, Direction::Contribute] {
                let refused = answer(direction, offer, &home, Instant::now());
                assert!(matches!(refused, Err(LinkError::Offer(_))), "{direction:?} {}", offer.len());
            }
        }
    }
}
