package store

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/production_create.lua
var productionCreateLua string

//go:embed lua/production_update.lua
var productionUpdateLua string

//go:embed lua/file_put.lua
var filePutLua string

//go:embed lua/file_verdict.lua
var fileVerdictLua string

//go:embed lua/token_create.lua
var tokenCreateLua string

//go:embed lua/token_revoke.lua
var tokenRevokeLua string

//go:embed lua/device_put.lua
var devicePutLua string

//go:embed lua/device_remove.lua
var deviceRemoveLua string

//go:embed lua/audit.lua
var auditLua string

//go:embed lua/credential_put.lua
var credentialPutLua string

//go:embed lua/credential_open.lua
var credentialOpenLua string

//go:embed lua/credential_delete.lua
var credentialDeleteLua string

//go:embed lua/people_put.lua
var peoplePutLua string

//go:embed lua/person_update.lua
var personUpdateLua string

//go:embed lua/person_delete.lua
var personDeleteLua string

//go:embed lua/list_put.lua
var listPutLua string

//go:embed lua/list_delete.lua
var listDeleteLua string

//go:embed lua/list_people.lua
var listPeopleLua string

//go:embed lua/sign_in_create.lua
var signInCreateLua string

//go:embed lua/sign_in_redeem.lua
var signInRedeemLua string

//go:embed lua/session_begin.lua
var sessionBeginLua string

//go:embed lua/session_use.lua
var sessionUseLua string

// scripts are directory's transitions, by what they do.
type scripts struct {
	productionCreate, productionUpdate, filePut, fileVerdict, tokenCreate, tokenRevoke, devicePut, deviceRemove, audit,
	credentialPut, credentialOpen, credentialDelete,
	peoplePut, personUpdate, personDelete, listPut, listDelete, listPeople,
	signInCreate, signInRedeem, sessionBegin, sessionUse *redis.Script
}

func newScripts() scripts {
	return scripts{
		productionCreate: redis.NewScript(productionCreateLua),
		productionUpdate: redis.NewScript(productionUpdateLua),
		filePut:          redis.NewScript(filePutLua),
		fileVerdict:      redis.NewScript(fileVerdictLua),
		tokenCreate:      redis.NewScript(tokenCreateLua),
		tokenRevoke:      redis.NewScript(tokenRevokeLua),
		devicePut:        redis.NewScript(devicePutLua),
		deviceRemove:     redis.NewScript(deviceRemoveLua),
		audit:            redis.NewScript(auditLua),
		credentialPut:    redis.NewScript(credentialPutLua),
		credentialOpen:   redis.NewScript(credentialOpenLua),
		credentialDelete: redis.NewScript(credentialDeleteLua),
		peoplePut:        redis.NewScript(peoplePutLua),
		personUpdate:     redis.NewScript(personUpdateLua),
		personDelete:     redis.NewScript(personDeleteLua),
		listPut:          redis.NewScript(listPutLua),
		listDelete:       redis.NewScript(listDeleteLua),
		listPeople:       redis.NewScript(listPeopleLua),
		signInCreate:     redis.NewScript(signInCreateLua),
		signInRedeem:     redis.NewScript(signInRedeemLua),
		sessionBegin:     redis.NewScript(sessionBeginLua),
		sessionUse:       redis.NewScript(sessionUseLua),
	}
}

// reply is what every script returns: a code, and what the code's line in the script's header says.
type reply struct {
	code string
	more []string
}

// run runs a script whose reply has more further values.
func (s *Store) run(ctx context.Context, script *redis.Script, more int, keys []string, args ...any) (reply, error) {
	values, err := script.Run(ctx, s.redis, keys, args...).StringSlice()
	if err != nil {
		return reply{}, err
	}
	if len(values) == 0 || len(values) != 1 && len(values) != 1+more {
		return reply{}, fmt.Errorf("a script answered %q, which it never does", values)
	}
	return reply{code: values[0], more: values[1:]}, nil
}

// unexpected is the error for a code that the script's header does not list.
func (r reply) unexpected() error {
	return fmt.Errorf("a script answered with the code %q, which it never does", r.code)
}
