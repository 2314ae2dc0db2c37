// Watches a session's program over WHEP, and keeps at it: a restarted worker or a broken line is dialled again.
import { api } from "./api.js";

/** Waiting for host candidates longer than this brings nothing: the server is ICE-lite and learns our address from us. */
const GATHER_MS = 1500;
/** No new frame for this long: the connection is made anew. */
const STALL_MS = 4000;
const FIRST_FRAME_MS = 8000;
const RETRY_MS = [300, 1000, 2000];

export class Viewer {
  /** `onState(state, detail)`: `connecting`, `playing`, `waiting`, `retry`, `stopped`. */
  constructor(video, session, onState) {
    Object.assign(this, { video, session, onState, tries: 0, stopped: false });
    this.leave = () => this.end();
    addEventListener("pagehide", this.leave);
    this.dial();
  }

  async dial() {
    if (this.stopped) return;
    this.onState(this.tries === 0 ? "connecting" : this.state === "retry" ? "retry" : "waiting", this.detail ?? "");
    const pc = new RTCPeerConnection();
    this.pc = pc;
    try {
      const media = new MediaStream();
      pc.addTransceiver("video", { direction: "recvonly" });
      pc.addTransceiver("audio", { direction: "recvonly" });
      pc.ontrack = ({ track }) => media.addTrack(track);
      pc.onconnectionstatechange = () => {
        if (pc === this.pc && pc.connectionState === "failed") this.redial("waiting");
      };
      await pc.setLocalDescription(await pc.createOffer());
      await gathered(pc);
      const { answer, location } = await api.watch(this.session, pc.localDescription.sdp);
      if (this.stopped || pc !== this.pc) {
        if (location) api.unwatch(location).catch(() => {});
        return;
      }
      this.location = location;
      await pc.setRemoteDescription({ type: "answer", sdp: answer });
      this.video.srcObject = media;
      this.video.play().catch(() => {}); // muted: browsers allow it; a refusal shows as a still picture and is dialled again
      this.watchFrames(pc);
    } catch (error) {
      if (!this.stopped && pc === this.pc) this.redial("retry", error.what ?? error.message);
    }
  }

  watchFrames(pc) {
    let frames = 0;
    let since = performance.now();
    let playing = false;
    this.watchdog = setInterval(() => {
      const count = this.video.getVideoPlaybackQuality().totalVideoFrames;
      const now = performance.now();
      if (count !== frames) {
        frames = count;
        since = now;
        if (!playing) {
          playing = true;
          this.tries = 0;
          this.state = "playing";
          this.onState("playing", "");
        }
      } else if (document.hidden) {
        since = now; // browsers may stop counting in a hidden tab
      } else if (now - since > (playing ? STALL_MS : FIRST_FRAME_MS)) {
        this.redial("waiting");
      }
    }, 250);
  }

  redial(state, detail = "") {
    this.hangUp();
    this.state = state;
    this.detail = detail;
    this.onState(state, detail);
    this.again = setTimeout(() => this.dial(), RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)]);
    this.tries += 1;
  }

  hangUp() {
    clearInterval(this.watchdog);
    clearTimeout(this.again);
    this.pc?.close();
    this.pc = null;
    if (this.location) api.unwatch(this.location).catch(() => {});
    this.location = null;
  }

  end() {
    if (this.stopped) return;
    this.stopped = true;
    this.hangUp();
    removeEventListener("pagehide", this.leave);
    this.onState("stopped", "");
  }
}

function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState === "complete") resolve();
    });
  });
}
