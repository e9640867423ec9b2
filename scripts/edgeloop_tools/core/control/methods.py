"""What the IPC server and the supervisor say to each other over the control socket.

Requests of the IPC server to the supervisor, and their results; a refusal is an error whose `code` is the name of the
modelled error of the Greengrass IPC (`ResourceNotFoundError`, …):

    bus.attach                {}                                  {nucleus, faults: [{kind, arguments}]}
    ipc.authenticate          {token}                             {component, access_control, unrestricted}|null
    ipc.get_configuration     {component, path: [..]}             {value, timestamp}    timestamp in ms
    ipc.update_configuration  {component, path, value, timestamp} null
    ipc.update_state          {component, state}                  null
    ipc.create_local_deployment {component, request}              {deployment}
    ipc.restart_component     {component, target}                 {outcome: SUCCEEDED|FAILED, message}
    ipc.validate_token        {component, token}                  true or false

Requests of Stream Manager to the supervisor (and `ipc.authenticate`):

    stream_manager.attach     {}                                  {faults: [{kind, arguments}]}

Events that the supervisor pushes to an attached IPC server:

    configuration_changed     {component, paths: [[..], ..]}
    access_control_changed    {component, access_control}
    token_revoked             {token}

Requests of the supervisor to the IPC server and to Stream Manager:

    fault                     {kind, arguments}                   anything; an unknown kind is an error
"""

from __future__ import annotations

from typing import Final

BUS_ATTACH: Final = "bus.attach"
AUTHENTICATE: Final = "ipc.authenticate"
TOKEN_OF: Final = "ipc.token_of"
GET_CONFIGURATION: Final = "ipc.get_configuration"
UPDATE_CONFIGURATION: Final = "ipc.update_configuration"
UPDATE_STATE: Final = "ipc.update_state"
CREATE_LOCAL_DEPLOYMENT: Final = "ipc.create_local_deployment"
RESTART_COMPONENT: Final = "ipc.restart_component"
VALIDATE_TOKEN: Final = "ipc.validate_token"
STREAM_MANAGER_ATTACH: Final = "stream_manager.attach"

CONFIGURATION_CHANGED: Final = "configuration_changed"
ACCESS_CONTROL_CHANGED: Final = "access_control_changed"
TOKEN_REVOKED: Final = "token_revoked"

FAULT: Final = "fault"
