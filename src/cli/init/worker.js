// The greeter: answers tasks on the queue NAME. It needs amqplib: npm install amqplib
const amqp = require('amqplib');

function greet(order) {
  if (!order.name) throw Object.assign(new Error('the input has no name'), { name: 'Greeter.NoName' });
  return { text: `Hello, ${order.name}` };
}

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://localhost');
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('NAME', { durable: true });
  await channel.prefetch(10);
  await channel.consume('NAME', async (task) => {
    let answer; let status = 'success';
    try {
      answer = greet(JSON.parse(task.content));
    } catch (error) { // Retry and Catch see error.name
      answer = { error: error.name, cause: error.message };
      status = 'failure';
    }
    const { replyTo, correlationId } = task.properties;
    channel.publish('', replyTo, Buffer.from(JSON.stringify(answer)),
      { correlationId, headers: { 'task-status': status }, contentType: 'application/json', persistent: true });
    await channel.waitForConfirms();
    channel.ack(task); // after the broker has the answer
  });
  console.log('waiting for tasks on queue NAME');
}

main().catch((error) => { console.error(error.message); process.exit(1); });
