package com.example.chat

import app.peers.sdk.FileIdentity
import app.peers.sdk.Peers
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking

/** Arguments: a relay, and a file for the keys. A line is `yes` to let a device in, or a device's id and a text for it. */
fun main(arguments: Array<String>) {
    val (relay, keys) = arguments
    val peers = Peers { relay(relay); identity(FileIdentity(File(keys))) }
    val chat = Chat(peers)
    CoroutineScope(Dispatchers.Default).launch {
        chat.asking.collect { if (it != null) println("${it.device} asks. ${it.sas ?: "It knocks"}: yes?") }
    }
    chat.start()
    for (line in generateSequence(::readlnOrNull)) {
        if (line == "yes") chat.accept() else chat.say(line.substringBefore(' '), line.substringAfter(' '))
    }
    runBlocking { peers.shutdown() }
}
