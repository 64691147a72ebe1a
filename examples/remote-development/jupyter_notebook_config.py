# SPDX-License-Identifier: Apache-2.0
c.NotebookApp.ip = "0.0.0.0"
c.NotebookApp.port = 8888
c.NotebookApp.open_browser = False
# In uri mode the pages live below this path, in host mode they may.
c.NotebookApp.base_url = "/sandboxes/jupyter/port/8888/"
# The gateway's names; and who may enter is the gateway's matter, by its links.
c.NotebookApp.allow_remote_access = True
c.NotebookApp.token = ""
