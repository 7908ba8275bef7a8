<?php
// The greeter: answers tasks on the queue "greetings".    composer require php-amqplib/php-amqplib, or apt install php-amqplib
require is_file(__DIR__ . '/vendor/autoload.php') ? __DIR__ . '/vendor/autoload.php' : 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

function greet(?array $order): array
{
    if (empty($order['name'])) throw new DomainException('the input has no name');
    return ['text' => "Hello, {$order['name']}"];
}

$url = parse_url(getenv('AMQP_URL') ?: 'amqp://guest:guest@localhost');
$connection = new AMQPStreamConnection($url['host'], $url['port'] ?? 5672, $url['user'], $url['pass'],
    urldecode(substr($url['path'] ?? '/%2f', 1)));
$channel = $connection->channel();
$channel->confirm_select();
$channel->set_nack_handler(fn () => throw new RuntimeException('the broker refused the answer; the task comes again'));
$channel->basic_qos(0, 10, false);
$channel->queue_declare('greetings', false, true, false, false);
$channel->basic_consume('greetings', '', false, false, false, false, function (AMQPMessage $task) use ($channel) {
    $status = 'success';
    try {
        $answer = greet(json_decode($task->body, true)); // null where it is not JSON
    } catch (DomainException $why) { // Retry and Catch see the error
        $status = 'failure';
        $answer = ['error' => 'Greeter.NoName', 'cause' => $why->getMessage()];
    }
    $channel->basic_publish(new AMQPMessage(json_encode($answer), ['correlation_id' => $task->get('correlation_id'),
        'application_headers' => new AMQPTable(['task-status' => $status]), 'content_type' => 'application/json',
        'delivery_mode' => 2]), '', $task->get('reply_to'));
    $channel->wait_for_pending_acks();
    $task->ack(); // after the broker has the answer
});
echo "waiting for tasks on queue greetings\n";
while ($channel->is_consuming()) $channel->wait();
