# SPDX-License-Identifier: Apache-2.0
from flask import Flask, redirect, render_template, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

GREETING = "Hello from a sandbox"

app = Flask(__name__)
# What the gateway says of the client's address: url_for() and redirect() then
# give addresses that lead back through it.
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1,
                        x_prefix=1)
notes = []


@app.get("/")
def index():
    return render_template("index.html", greeting=GREETING, notes=notes)


@app.post("/notes")
def add():
    notes.append(request.form["note"])
    return redirect(url_for("index"))
