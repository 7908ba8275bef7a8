"""A Celery application as there are many: it knows nothing of Reveille."""
import os

from celery import Celery

app = Celery("shop", broker=os.environ["AMQP_URL"], backend="rpc://")


@app.task(name="shop.square")
def square(number):
    return number * number


@app.task(name="shop.total")
def total(numbers):
    if sum(numbers) > 1000:
        raise ValueError("the sum is too large")
    return sum(numbers)
