# The greeter: answers tasks on the queue "greetings". RabbitMQ's Erlang client (hex: amqp_client) is a part of every broker:
# ERL_LIBS=/usr/lib/rabbitmq/lib/rabbitmq_server-VERSION/plugins elixir greeter.exs
defmodule Greeter do
  require Record
  records = Record.extract_all(from_lib: "amqp_client/include/amqp_client.hrl")
  for {name, as} <- ["queue.declare": :declare, "basic.qos": :qos, "basic.consume": :consume, "basic.publish": :publish,
                     "basic.ack": :ack, "confirm.select": :select, P_basic: :properties, amqp_msg: :message],
      do: Record.defrecord(as, name, records[name])

  def run do
    {:ok, parameters} = :amqp_uri.parse(to_charlist(System.get_env("AMQP_URL", "amqp://localhost")))
    {:ok, connection} = :amqp_connection.start(parameters)
    {:ok, channel} = :amqp_connection.open_channel(connection)
    Process.link(channel)
    for method <- [select(), declare(queue: "greetings", durable: true), qos(prefetch_count: 10)],
        do: :amqp_channel.call(channel, method)
    :amqp_channel.subscribe(channel, consume(queue: "greetings"), self())
    IO.puts("waiting for tasks on queue greetings")
    listen(channel)
  end

  defp listen(channel) do
    receive do
      {{:"basic.deliver", _, tag, _, _, _}, message(props: task, payload: body)} ->
        {status, answer} = greet(:rabbit_json.try_decode(body))
        properties = properties(correlation_id: properties(task, :correlation_id), content_type: "application/json",
          headers: [{"task-status", :longstr, status}], delivery_mode: 2)
        :amqp_channel.cast(channel, publish(routing_key: properties(task, :reply_to)),
          message(props: properties, payload: :rabbit_json.encode(answer)))
        true = :amqp_channel.wait_for_confirms(channel)
        :amqp_channel.cast(channel, ack(delivery_tag: tag)) # after the broker has the answer
      _ -> :ok
    end
    listen(channel)
  end

  defp greet({:ok, %{"name" => name}}), do: {"success", %{text: "Hello, #{name}"}}
  defp greet(_), do: {"failure", %{error: "Greeter.NoName", cause: "the input has no name"}} # Retry and Catch see the error
end
Greeter.run()
