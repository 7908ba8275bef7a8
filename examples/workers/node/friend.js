// The same friend as ../python/friend.py, in Node: heartbeats while thinking, then a success with the task token.
const amqp = require('amqplib');
const sleep = require('node:timers/promises').setTimeout;

const thinkMs = Number(process.env.THINK_SECONDS || 5) * 1000;
const heartbeatMs = Number(process.env.HEARTBEAT_EVERY || 2) * 1000;

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://localhost');
  connection.on('error', (error) => { console.error(error.message); process.exit(1); });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('photographer-friend', { durable: true });
  await channel.prefetch(10);

  const reply = async (task, status, result = null) => {
    const headers = { 'task-token': task.properties.headers['task-token'], 'task-status': status };
    channel.publish('', task.properties.replyTo, Buffer.from(JSON.stringify(result)),
      { headers, contentType: 'application/json', persistent: true });
    await channel.waitForConfirms();
  };

  await channel.consume('photographer-friend', async (task) => {
    if (!task) process.exit(1); // the queue was deleted
    console.log(JSON.parse(task.content).question);
    for (let left = thinkMs; left > 0; left -= heartbeatMs) {
      await sleep(Math.min(heartbeatMs, left));
      if (left > heartbeatMs) await reply(task, 'heartbeat');
    }
    await reply(task, 'success', { name: 'Vera Holm', phone: '555-0142' });
    console.log('recommended Vera Holm');
    channel.ack(task);
  });
  console.log('waiting for tasks on queue photographer-friend');

  // A task without its ack goes to another worker.
  process.on('SIGTERM', () => connection.close().then(() => process.exit(0)));
}

main().catch((error) => { console.error(error.message); process.exit(1); });
