// One stream for all tabs of a browser. Each tab says which topics it shows; the stream is opened for all of them.

const ports = new Map();
let source = null;
let asked = '';

const all = () => [...new Set([...ports.values()].flat())].sort();

const connect = () => {
  const topics = all().join(' ');
  if (topics === asked && source) return;
  asked = topics;
  source?.close();
  source = null;
  if (topics === '') return;
  source = new EventSource(`../live?topics=${encodeURIComponent(topics)}`);
  const say = (message) => { for (const port of ports.keys()) port.postMessage(message); };
  source.onopen = () => say('open');
  source.onerror = () => {
    say('closed');
    // A server with too many viewers has refused it for good: try again later.
    if (source?.readyState === 2) setTimeout(() => { asked = ''; connect(); }, 30_000);
  };
  source.onmessage = (event) => {
    for (const [port, topics] of ports) {
      if (topics.includes(event.data)) port.postMessage(event.data);
    }
  };
};

onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = (message) => {
    if (message.data.topics.length === 0) ports.delete(port); else ports.set(port, message.data.topics);
    connect();
    if (source?.readyState === 1) port.postMessage('open');
  };
};
