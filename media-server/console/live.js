// What the server says each second over /api/live. Reconnects by itself and says when it cannot.

/** Without a message for this long the connection counts as lost (the server speaks each second). */
const SILENCE_MS = 4000;
const RETRY_MS = [500, 1000, 2000, 4000];

export class Live {
  /** `probe()` is called when the stream was refused: it finds out whether the login has ended. */
  constructor(onChange, probe) {
    this.onChange = onChange;
    this.probe = probe;
    /** `connecting`, `live` or `lost`. */
    this.state = "connecting";
    this.sites = [];
    this.sessions = [];
    this.known = false;
    this.skew = 0;
    this.arrived = 0;
    this.tries = 0;
  }

  start() {
    this.stopped = false;
    this.open();
    this.timer = setInterval(() => this.tick(), 1000);
  }

  stop() {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.source?.close();
  }

  /** Server's time now, milliseconds since 1970. */
  now() {
    return Date.now() + this.skew;
  }

  /** How old a site's figures are now. */
  ageOf(site) {
    return site.age_ms === null || site.age_ms === undefined ? null : site.age_ms + (performance.now() - this.arrived);
  }

  open() {
    this.source?.close();
    const source = new EventSource("/api/live");
    this.source = source;
    this.opened = performance.now();
    source.onmessage = (message) => this.take(JSON.parse(message.data));
    source.onerror = () => {
      if (this.stopped || source !== this.source) return;
      source.close();
      this.lose();
      this.probe();
      this.again = setTimeout(() => this.open(), RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)]);
      this.tries += 1;
    };
  }

  take(data) {
    if (this.stopped) return;
    this.sites = data.sites ?? [];
    this.sessions = data.sessions ?? [];
    this.skew = data.now_ms - Date.now();
    this.arrived = performance.now();
    this.known = true;
    this.state = "live";
    this.tries = 0;
    this.onChange();
  }

  lose() {
    if (this.state === "live" || performance.now() - this.opened > SILENCE_MS) this.state = "lost";
    this.onChange();
  }

  tick() {
    const quiet = performance.now() - Math.max(this.arrived, this.opened);
    if (this.source.readyState !== EventSource.CLOSED && quiet > SILENCE_MS) {
      this.state = "lost"; // half-open connection: nothing comes, nothing fails
      this.open();
    }
    this.onChange();
  }

  nameOf(code) {
    return this.sites.find((site) => site.code === code)?.name ?? code;
  }
}
