"""Mails the link of each task that asks a person: over SMTP_HOST, or onto the screen. AMQP_URL names the broker."""
import json
import os
import smtplib
from email.message import EmailMessage

import pika


def mail(channel, method, _, body):
    notice = json.loads(body)
    message = EmailMessage()
    message["From"] = os.environ.get("MAIL_FROM", "reveille@localhost")
    message["To"] = notice["LinkFor"]
    message["Subject"] = " ".join(notice.get("Title", "A question for you").split())  # one line, whatever the data
    shown = [f"{item['Label']}: {item['Value']}" for item in notice.get("Show", [])]
    text = "\n".join([notice.get("Text", ""), "", *shown, "", f"Answer until {notice['LinkUntil']}:", notice["Link"]])
    message.set_content(text)
    if "SMTP_HOST" in os.environ:
        with smtplib.SMTP(os.environ["SMTP_HOST"]) as server:
            server.send_message(message)
    else:
        print(f"To: {message['To']}\nSubject: {message['Subject']}\n\n{text}\n", flush=True)
    channel.basic_ack(method.delivery_tag)  # after the mail: a crash before it sends the mail again


connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.queue_declare("mail", durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume("mail", mail)
channel.start_consuming()
