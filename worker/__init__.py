"""Every process of leadsync, and the code they share.

| process              | command            | what it does                                                      |
| -------------------- | ------------------ | ----------------------------------------------------------------- |
| worker               | `leadsync worker`  | Celery's processes: take events in, push                          |
| doorbell             | (with each worker) | wakes intake the moment an event arrives                          |
| beat                 | `leadsync beat`    | ticks: finds what no message announced                            |
| web                  | `leadsync web`     | webhooks in, and health checks, over HTTP                         |
| all of them, one box | `leadsync up`      | the above as one process tree, with Redis and SQLite of its own   |
| a command            | `leadsync …`       | looks, or changes something, and ends                             |
"""
