#!/usr/bin/env perl
# The greeter: answers tasks on the queue "greetings".    cpanm AnyEvent::RabbitMQ, or apt install libanyevent-rabbitmq-perl
use strict;
use warnings;
use AnyEvent;
use AnyEvent::RabbitMQ;
use JSON::PP;

my ($user, $pass, $host, $port, $vhost) =
    ($ENV{AMQP_URL} // 'amqp://guest:guest@localhost:5672/%2f') =~ m{^amqp://(.*?):(.*?)@(.*?)(?::(\d+))?/(.*)$};
$vhost =~ s/%([0-9a-f]{2})/chr hex $1/gie;
my $end  = AnyEvent->condvar;
my $fail = sub { $end->croak("the broker: @_") };

sub greet {
    my $order = shift;
    return { error => 'Greeter.NoName', cause => 'the input has no name' } unless $order->{name};
    return { text => "Hello, $order->{name}" };
}

my $rabbit = AnyEvent::RabbitMQ->new->load_xml_spec;
$rabbit->connect(host => $host, port => $port // 5672, user => $user, pass => $pass, vhost => $vhost,
    on_failure => $fail, on_close => $fail, on_success => sub { shift->open_channel(
    on_failure => $fail, on_close => $fail, on_success => sub { my $channel = shift;
        $channel->confirm(on_success => sub { $channel->declare_queue(queue => 'greetings', durable => 1, on_success => sub {
            $channel->qos(prefetch_count => 10);
            $channel->consume(queue => 'greetings', no_ack => 0, on_failure => $fail, on_consume => sub { my $task = shift;
                my $order = eval { decode_json($task->{body}->payload) }; # nothing where it is not JSON
                my $answer = greet(ref $order eq 'HASH' ? $order : {});
                my $header = $task->{header};
                my $status = $answer->{error} ? 'failure' : 'success'; # Retry and Catch see the error
                $channel->publish(routing_key => $header->{reply_to}, body => encode_json($answer),
                    header => { correlation_id => $header->{correlation_id}, headers => { 'task-status' => $status },
                        content_type => 'application/json', delivery_mode => 2 },
                    on_ack => sub { $channel->ack(delivery_tag => $task->{deliver}->method_frame->delivery_tag) });
            });
            print "waiting for tasks on queue greetings\n";
        }) }) }) });
$end->recv;
