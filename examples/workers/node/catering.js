// The caterer: answers tasks on the queue "catering", the function that the art event invokes.
const amqp = require('amqplib');

function cook(order) {
  if (!Array.isArray(order.guests)) {
    throw Object.assign(new Error('guests must be a list'), { name: 'Kitchen.BadOrder' });
  }
  return { menu: ['barley soup', 'apple tart'], portions: order.guests.length };
}

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://localhost');
  connection.on('error', (error) => { console.error(error.message); process.exit(1); });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('catering', { durable: true });
  await channel.prefetch(10);

  const reply = (task, body, headers) => new Promise((resolve, reject) => {
    const { replyTo, correlationId } = task.properties;
    channel.publish('', replyTo, Buffer.from(JSON.stringify(body)),
      { correlationId, headers, contentType: 'application/json', persistent: true },
      (error) => (error ? reject(error) : resolve()));
  });

  await channel.consume('catering', async (task) => {
    if (!task) process.exit(1); // the queue was deleted
    let answer; let headers = {};
    try {
      answer = cook(JSON.parse(task.content));
    } catch (error) { // the workflow sees error.name in Retry and Catch
      answer = { errorType: error.name, errorMessage: error.message };
      headers = { 'task-status': 'failure' };
    }
    await reply(task, answer, headers);
    console.log(answer);
    channel.ack(task); // after the broker has the answer
  });
  console.log('waiting for tasks on queue catering');

  // A task without its ack goes to another worker.
  process.on('SIGTERM', () => connection.close().then(() => process.exit(0)));
}

main().catch((error) => { console.error(error.message); process.exit(1); });
