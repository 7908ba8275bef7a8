// Keeps a page up to date. The stream only says that something changed; what is shown comes from the page's own address,
// and each part with `data-live` is replaced where it differs. Without this module every page works by reloading.

const policy = window.trustedTypes
  ? trustedTypes.createPolicy('reveille', { createHTML: (text) => text, createScriptURL: (url) => url })
  : { createHTML: (text) => text, createScriptURL: (url) => url };
const body = document.body;
const topics = (body.dataset.topics ?? '').split(' ').filter(Boolean);
const pulse = document.querySelector('.pulse');

/** What a person is working in stays as it is. */
const busy = (part) => part.contains(document.activeElement) && document.activeElement !== part
  && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
const open = (part) => part.querySelector('details.act[open]');

const times = (root) => {
  const now = new Date();
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    const day = at.toDateString() === now.toDateString() ? {} : { year: 'numeric', month: 'short', day: 'numeric' };
    const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
    time.textContent = at.toLocaleString(undefined, { ...day, ...clock });
    time.title = `${time.dateTime} (UTC)`;
  }
};

let asking = false;
let again = false;
const refresh = async () => {
  if (asking) { again = true; return; }
  asking = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' }, cache: 'no-store' });
    if (answer.redirected && answer.url.includes('sign-in')) { location.reload(); return; }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(policy.createHTML(await answer.text()), 'text/html');
    times(fresh);
    for (const part of document.querySelectorAll('[data-live]')) {
      const other = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!other || part.dataset.keep !== undefined || busy(part) || open(part) || part.innerHTML === other.innerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
      const unfolded = [...part.querySelectorAll('details')].map((details) => details.open);
      part.replaceChildren(...[...other.childNodes].map((node) => document.adoptNode(node)));
      part.querySelectorAll('details').forEach((details, n) => { if (unfolded[n]) details.open = true; });
      if (other.dataset.keep !== undefined) part.dataset.keep = '';
      if (focused) [...part.querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus();
      if (part.dataset.tell !== undefined) tell(part.textContent);
    }
    body.dataset.refreshed = String(Number(body.dataset.refreshed ?? 0) + 1);
  } catch {
    state(false);
  } finally {
    // What happens in the next moment is one change; a server that takes long to answer is asked less often.
    const rest = Math.min(5000, Math.max(150, 5 * (performance.now() - began)));
    setTimeout(() => {
      asking = false;
      if (again) { again = false; refresh(); }
    }, rest);
  }
};

/** One polite sentence in five seconds at most, for those who hear the page. */
let told = 0;
const tell = (text) => {
  const region = document.getElementById('told');
  if (!region || Date.now() - told < 5000) return;
  told = Date.now();
  region.textContent = text.replace(/\s+/g, ' ').trim();
};

let live = false;
const state = (on) => {
  live = on;
  if (!pulse) return;
  pulse.classList.toggle('on', on);
  pulse.textContent = on ? 'live' : 'not live';
};

// One stream for all tabs of a browser: a server may have six connections of one, and a stream holds its own for good.
const hear = (message) => {
  if (message === 'open' || message === 'closed') {
    state(message === 'open');
    // Nothing tells what happened before the stream was open.
    if (message === 'open') refresh();
  } else if (topics.includes(message)) {
    refresh();
  }
};
const direct = () => {
  const source = new EventSource(`${body.dataset.up}live?topics=${encodeURIComponent(topics.join(' '))}`);
  source.onopen = () => hear('open');
  source.onerror = () => hear('closed');
  source.onmessage = (event) => hear(event.data);
};
if (topics.length > 0) {
  try {
    const worker = new SharedWorker(policy.createScriptURL(body.dataset.worker), { name: 'reveille' });
    worker.onerror = direct;
    worker.port.onmessage = (event) => hear(event.data);
    worker.port.postMessage({ topics });
    addEventListener('pagehide', () => worker.port.postMessage({ topics: [] }));
    addEventListener('pageshow', (event) => { if (event.persisted) { worker.port.postMessage({ topics }); refresh(); } });
  } catch {
    direct();
  }
}
// What no stream tells (figures of the broker, times that pass), and where there is no stream.
const every = Number(body.dataset.every ?? 0);
if (every > 0) setInterval(() => { if (!document.hidden) refresh(); }, every * 1000);

// Without a stream (there are too many viewers, or a proxy lets none through) the page asks now and then.
if (topics.length > 0) setInterval(() => { if (!live && !document.hidden) refresh(); }, 10_000);

// Saved views: queries of this browser.
const views = document.querySelector('[data-views]');
if (views) {
  const read = () => { try { return JSON.parse(localStorage.getItem('reveille.views') ?? '[]').filter((view) => typeof view === 'string'); } catch { return []; } };
  const write = (all) => { localStorage.setItem('reveille.views', JSON.stringify(all.slice(0, 30))); show(); };
  const query = views.dataset.views;
  const show = () => {
    const all = read();
    const parts = all.map((view) => {
      const chip = Object.assign(document.createElement('a'), { className: 'chip', href: `executions?q=${encodeURIComponent(view)}`, textContent: view });
      if (view === query) chip.setAttribute('aria-current', 'true');
      const forget = Object.assign(document.createElement('button'), { type: 'button', className: 'forget', textContent: '×', title: `Forget the view ${view}` });
      forget.setAttribute('aria-label', `Forget the view ${view}`);
      forget.onclick = () => write(read().filter((other) => other !== view));
      const both = document.createElement('span');
      both.append(chip, forget);
      return both;
    });
    if (query !== '' && !all.includes(query)) {
      const save = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Save this view' });
      save.onclick = () => write([...read(), query]);
      parts.push(save);
    }
    views.replaceChildren(...parts);
    views.hidden = parts.length === 0;
  };
  show();
}

times(document);

// A code in the fragment was never sent: a form takes it to the server, and the page acts only when a person says so.
const coded = document.querySelector('form[data-code]');
if (coded && location.hash.length > 1) {
  coded.elements.code.value = location.hash.slice(1);
  coded.requestSubmit();
}

// Keys: `/` to the search, `g` and a letter to a page. Not while typing.
let went = 0;
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  if (event.key === '/') {
    const search = document.querySelector('input[type=search]');
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  } else if (event.key === 'g') {
    went = Date.now();
  } else if (Date.now() - went < 1500) {
    document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
    went = 0;
  }
});
addEventListener('click', (event) => {
  for (const details of document.querySelectorAll('details.act[open]')) {
    if (!details.contains(event.target)) details.open = false;
  }
});
