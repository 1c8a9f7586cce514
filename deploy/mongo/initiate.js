// Makes a new server a replica set of one; done again, it changes nothing.
const ALREADY_INITIALIZED = 23;
try {
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] });
} catch (error) {
  if (error.code !== ALREADY_INITIALIZED) throw error;
}
while (!db.hello().isWritablePrimary);
